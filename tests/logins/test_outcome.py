"""authx.logins.outcome: when an attempt is over, and whether it still counts then."""

from contextvars import Context

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import aauthenticate, authenticate
from django.http import HttpResponse
from django.utils.datastructures import MultiValueDict

from authx.http.request_state import request_state
from authx.logins.limit import count_login
from authx.logins.outcome import (
    Attempt,
    answered,
    keep_unfinished,
    last_attempt,
    set_retry_after,
    settle,
    settle_when_closed,
    take_last,
)


@pytest.fixture(autouse=True)
def _one_try(settings):
    settings.AUTHX_LOGIN_RATE = "1/min"
    yield
    last_attempt.set(None)


def counts(name):
    """Whether an attempt of this name is counted: another one has to wait."""
    again = count_login(None, names=[name], subjects=[None])
    again.give_back()
    return again.wait > 0


@pytest.fixture
def begun():
    """Begin an attempt of a name."""

    def begin(name):
        attempt = Attempt(count_login(None, names=[name], subjects=[None]), {"username": name}, None)
        assert counts(name)
        return attempt

    return begin


@pytest.fixture
def last(begun):
    """An attempt of ada's, the last of this thread."""
    last_attempt.set(begun("ada"))
    return last_attempt.get()


@pytest.fixture
def request_(rf):
    return rf.post("/")


# One attempt


def test_it_is_given_back_unless_it_has_failed(begun):
    begun("ada").settle()
    begun("bob").settle(failed=True)
    assert (counts("ada"), counts("bob")) == (False, True)


def test_whatever_is_said_first_holds(begun):
    given_back, failed = begun("ada"), begun("bob")
    given_back.settle()
    failed.settle(failed=True)
    another = begun("ada")
    for attempt in (given_back, failed):
        attempt.settle()
    assert not another.is_settled
    assert (counts("ada"), counts("bob")) == (True, True)
    assert failed.is_settled


def test_it_begins_unsettled_and_by_no_door_of_ours(begun):
    attempt = begun("ada")
    assert (attempt.by_door, attempt.is_settled) == (False, False)


# The last one of a thread or task


def test_the_last_is_given_back_once(last, begun):
    settle()
    assert (last.is_settled, counts("ada"), take_last()) == (True, False, None)
    begun("ada")
    settle()
    assert counts("ada")


def test_or_has_failed(last):
    settle(failed=True)
    assert (last.is_settled, counts("ada"), take_last()) == (True, True, None)


def test_there_need_be_none():
    settle()
    assert take_last() is None
    assert Context().run(take_last) is None  # in a thread or task of its own


def test_a_task_of_its_own_knows_nothing_of_it(last):
    Context().run(settle)
    assert take_last() is last


# The answer


@pytest.mark.parametrize(
    ("status", "failed"), [(200, False), (302, False), (400, False), (401, True), (403, False)]
)
def test_an_answer_settles_those_of_its_request_and_the_last_and_401_alone_is_a_failure(
    status, failed, request_, last, begun
):
    request_state(request_).attempts = (begun("bob"), begun("eve"))
    answered(HttpResponse(status=status), request_state(request_))
    assert [counts(name) for name in ("ada", "bob", "eve")] == 3 * [failed]
    assert all(attempt.is_settled for attempt in request_state(request_).attempts)
    assert last_attempt.get() is None


def test_an_answer_says_how_long_to_wait_where_there_was_one_too_many(request_):
    response = HttpResponse()
    answered(response, request_state(request_))
    assert (response.status_code, response.has_header("Retry-After")) == (200, False)
    request_state(request_).login_wait = 42
    answered(response, request_state(request_))
    assert (response.status_code, response["Retry-After"]) == (429, "42")


# An error


class Broken:
    """A backend that raises."""

    def authenticate(self, request, username=None, password=None):
        raise RuntimeError("no answer")

    async def aauthenticate(self, request, username=None, password=None):
        raise RuntimeError("no answer")


def raised_in_authenticate():
    authenticate(username="ada", password="wrong")


def raised_in_aauthenticate():
    async_to_sync(aauthenticate)(username="ada", password="wrong")


def a_consequence():
    try:
        raised_in_authenticate()
    except RuntimeError as error:
        found = error
    raise LookupError from found


def while_handling_it():
    try:
        a_consequence()
    except LookupError:
        raise KeyError  # noqa: B904 - what is asked for


def hidden():
    try:
        raised_in_authenticate()
    except RuntimeError:
        raise LookupError from None


def elsewhere():
    raise RuntimeError("no answer")


@pytest.fixture
def breaking(settings, request_, last, begun):
    """Let an error arise while a request is handled; return whether its attempt and the last are over."""
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Broken"]
    request_state(request_).attempts = (begun("bob"),)

    def breaking(fail, request=request_):
        try:
            fail()
        except Exception:
            keep_unfinished(sender=None, request=request)
        else:
            pytest.fail("no error was raised")
        return [attempt.is_settled for attempt in (*request_state(request_).attempts, last)]

    return breaking


@pytest.mark.parametrize(
    "fail", [raised_in_authenticate, raised_in_aauthenticate, a_consequence, while_handling_it, hidden]
)
def test_what_ended_in_an_error_of_authenticate_counts(fail, breaking, request_):
    assert breaking(fail) == [True, True]
    answered(HttpResponse(), request_state(request_))
    assert (counts("ada"), counts("bob")) == (True, True)
    assert last_attempt.get() is None


def test_what_had_an_error_of_another_kind_is_not_over(breaking, request_):
    assert breaking(elsewhere) == [False, False]
    answered(HttpResponse(), request_state(request_))
    assert (counts("ada"), counts("bob")) == (False, False)


def test_an_error_without_djangos_request_ends_nothing(breaking):
    assert breaking(raised_in_authenticate, request=None) == [False, False]
    assert breaking(raised_in_authenticate, request=object()) == [False, False]


def test_an_error_that_is_its_own_cause_in_the_end_is_looked_at_once(breaking):
    """As one that is raised again while what came of it is handled: the chain is a ring."""

    def fail():
        first, second = ValueError("first"), ValueError("second")
        first.__cause__, second.__cause__ = second, first
        raise first

    assert breaking(fail) == [False, False]


def test_without_an_error_nothing_has_ended_in_one(request_, last):
    keep_unfinished(sender=None, request=request_)
    keep_unfinished(sender=None)
    assert not last.is_settled


# The end of a request


def test_when_a_request_is_closed_its_attempts_are_given_back(request_, begun):
    ada, bob = begun("ada"), begun("bob")
    settle_when_closed(request_, ada)
    settle_when_closed(request_, bob)
    assert request_state(request_).attempts == (
        ada,
        bob,
    )
    assert (counts("ada"), counts("bob")) == (True, True)
    request_.close()
    assert (counts("ada"), counts("bob")) == (False, False)


def test_what_it_would_have_closed_is_closed(request_, begun):
    class Upload:
        closed = 0

        def close(self):
            Upload.closed += 1

    request_._files = MultiValueDict({"file": [Upload()]})
    settle_when_closed(request_, begun("ada"))
    settle_when_closed(request_, begun("bob"))
    request_.close()
    assert Upload.closed == 1
    assert "close" not in vars(request_)
    request_.close()
    assert Upload.closed == 2


def test_whoever_has_kept_its_close_may_call_it_twice(request_, begun):
    settle_when_closed(request_, begun("ada"))
    close = request_.close
    close()
    close()
    assert not counts("ada")


def test_its_close_is_replaced_once_however_many_attempts_there_are(request_, begun):
    settle_when_closed(request_, begun("ada"))
    close = request_.close
    settle_when_closed(request_, begun("bob"))
    assert request_.close is close


def test_attempts_that_are_settled_already_are_forgotten(request_, begun):
    ada, bob = begun("ada"), begun("bob")
    settle_when_closed(request_, ada)
    ada.settle(failed=True)
    settle_when_closed(request_, bob)
    assert request_state(request_).attempts == (bob,)
    request_.close()
    assert (counts("ada"), counts("bob")) == (True, False)


def test_one_after_the_request_was_closed_is_given_back_when_it_is_closed_again(request_, begun):
    settle_when_closed(request_, begun("ada"))
    request_.close()
    settle_when_closed(request_, begun("bob"))
    assert counts("bob")
    request_.close()
    assert not counts("bob")


# What the answer says


def said(*, wait=42, status=200, **headers):
    response = HttpResponse(status=status, headers=headers)
    set_retry_after(response, wait)
    return response


@pytest.mark.parametrize("kind", ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"])
def test_a_page_is_a_429_that_says_for_how_long(kind):
    response = said(**{"Content-Type": kind})
    assert (response.status_code, response["Retry-After"]) == (429, "42")


@pytest.mark.parametrize(
    ("status", "becomes"),
    [(200, 429), (204, 429), (299, 429), (400, 429), (403, 429), (499, 429)]
    + [(status, status) for status in (300, 302, 399, 500, 503)],
)
def test_a_redirect_and_an_error_of_the_server_stay_what_they_are(status, becomes):
    response = said(status=status)
    assert (response.status_code, response["Retry-After"]) == (becomes, "42")


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "image/svg+xml", "", "x-text/html"])
def test_and_so_does_what_is_no_page(kind):
    response = said(**{"Content-Type": kind})
    assert (response.status_code, response["Retry-After"]) == (200, "42")


def test_also_without_a_content_type():
    response = HttpResponse()
    del response["Content-Type"]
    set_retry_after(response, 42)
    assert (response.status_code, response["Retry-After"]) == (200, "42")


def test_what_the_view_has_said_itself_stays():
    assert said(**{"Retry-After": "5"})["Retry-After"] == "5"


def test_who_need_not_wait_is_not_told_to():
    response = said(wait=0)
    assert response.status_code == 200
    assert not response.has_header("Retry-After")


def test_nobody_is_told_how_long_where_nobody_knows():
    response = said(wait=-1)
    assert (response.status_code, response.has_header("Retry-After")) == (429, False)
    assert said(wait=1)["Retry-After"] == "1"


@pytest.mark.parametrize(("status", "becomes"), [(200, 429), (299, 429), (300, 300), (302, 302), (403, 403)])
def test_what_another_package_has_answered_to_its_lockout_stays(status, becomes, request_):
    state = request_state(request_)
    state.login_wait, state.is_locked_out = 42, True
    response = HttpResponse(status=status)
    answered(response, state)
    assert (response.status_code, response.get("Retry-After")) == (becomes, "42" if becomes == 429 else None)
