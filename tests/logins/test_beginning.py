"""authx.logins.attempts: what begins an attempt, what it is taken for, and what a failure records."""

from functools import partial

import pytest
from django.contrib.auth import authenticate, user_logged_in, user_login_failed
from django.db import DatabaseError, connection
from django.http import HttpRequest
from django.views.debug import ExceptionReporter
from rest_framework.request import Request

from authx.http.request_state import request_state
from authx.logins.attempts import (
    authenticate_within_limit,
    begin,
    forget_wait,
    keep_failed,
    wait_unless_first,
)
from authx.logins.outcome import last_attempt, settle
from authx.models import SessionEvent
from authx.sessions import open_session

LIMIT, MODEL = "authx.backends.LoginLimitBackend", "django.contrib.auth.backends.ModelBackend"
Kind = SessionEvent.Kind
WRONG = {"username": "ada", "password": "wrong"}
ANOTHER = {"username": "bob", "password": "wrong"}
CANARY = "correct-horse-battery-staple"
pytestmark = [pytest.mark.django_db, pytest.mark.user_model("auth.User")]


@pytest.fixture(autouse=True)
def _two_tries(settings):
    settings.AUTHX_LOGIN_RATE = "2/min"
    yield
    last_attempt.set(None)


@pytest.fixture
def request_(rf):
    return rf.post("/", REMOTE_ADDR="203.0.113.7")


def left(credentials=WRONG):
    """How many tries there are before one has to wait; there are none afterwards."""
    settle()
    for n in range(5):
        if begin(None, credentials):
            return n
        settle(failed=True)
    raise AssertionError("there is no limit")


def recorded():
    return [(event.kind, event.subject, event.outcome) for event in SessionEvent.objects.order_by("id")]


# Beginning


def test_an_attempt_is_counted_and_kept_until_it_is_settled(request_, ada):
    assert begin(request_, WRONG) == 0
    attempt = last_attempt.get()
    assert (attempt.names, attempt.subject) == ({"username": "ada"}, str(ada.pk))
    assert (attempt.by_door, attempt.is_settled) == (False, False)
    assert request_state(request_).attempts == (attempt,)
    settle(failed=True)
    assert recorded() == []
    assert left() == 1


def test_of_an_account_that_is_not_there_too():
    begin(None, WRONG)
    assert last_attempt.get().subject is None
    settle(failed=True)
    assert left() == 1


def test_the_first_name_that_finds_somebody_says_whose_it_is(bob):
    begin(None, {"username": "nobody", "email": bob.email, "password": "wrong"})
    assert last_attempt.get().subject == str(bob.pk)


def test_what_cannot_be_guessed_is_no_attempt(request_):
    assert begin(request_, {"token": "x"}) == 0
    assert (last_attempt.get(), request_state(request_).attempts) == (None, ())


def test_the_next_one_gives_the_last_back(request_):
    begin(request_, WRONG)
    begin(request_, ANOTHER)
    assert last_attempt.get().names == {"username": "bob"}
    assert left() == 2


def test_one_too_many_waits_and_is_recorded_with_the_limit_that_it_reached(request_, ada):
    assert left() == 2
    wait = begin(request_, WRONG)
    assert 0 < wait <= 60
    assert request_state(request_).login_wait == wait
    assert (last_attempt.get().is_settled, request_state(request_).attempts) == (True, ())
    assert recorded() == 2 * [(Kind.LOGIN_LIMITED, str(ada.pk), "account")]  # the first of them by left()
    assert SessionEvent.objects.latest("id").ip == "203.0.113.7"


def test_the_address_of_its_request_is_limited_too(request_, settings):
    settings.AUTHX_ADDRESS_RATE = "1/min"
    begin(request_, WRONG)
    settle(failed=True)
    assert begin(request_, ANOTHER) > 0
    assert recorded() == [(Kind.LOGIN_LIMITED, "", "address")]


def test_drf_s_request_stands_for_djangos(request_):
    begin(Request(request_), WRONG)
    assert len(request_state(request_).attempts) == 1
    request_.close()
    assert left() == 2


@pytest.mark.parametrize("other", [None, object(), {"username": "ada"}], ids=["none", "object", "dict"])
def test_anything_else_is_no_request(other):
    assert begin(other, WRONG) == 0
    settle(failed=True)
    assert begin(other, WRONG) == 0
    settle(failed=True)
    assert begin(other, WRONG) > 0


# What our doors have begun


def test_the_backend_does_not_count_again_what_a_door_has_begun_but_once():
    begin(None, WRONG, by_door=True)
    begun = last_attempt.get()
    assert begin(None, WRONG) == 0
    assert last_attempt.get() is begun
    assert not begun.by_door
    settle(failed=True)
    assert left() == 1


def test_it_counts_another_one_behind_it():
    begin(None, WRONG, by_door=True)
    begin(None, WRONG)
    begin(None, WRONG)
    assert last_attempt.get().names == {"username": "ada"}
    settle(failed=True)
    assert left() == 1


def test_it_counts_one_of_another_name():
    begin(None, WRONG, by_door=True)
    begin(None, ANOTHER)
    settle(failed=True)
    assert (left(), left(ANOTHER)) == (2, 1)


def test_it_counts_one_after_that_of_a_door_was_settled():
    begin(None, WRONG, by_door=True)
    last_attempt.get().settle(failed=True)
    begin(None, WRONG)
    settle(failed=True)
    assert left() == 0


@pytest.mark.parametrize(
    ("backends", "counts"), [([LIMIT, MODEL], False), ([MODEL, LIMIT], True), ([MODEL], True), ([], True)]
)
def test_a_door_begins_it_where_no_backend_will_before_any_other(backends, counts, settings, request_):
    settings.AUTHENTICATION_BACKENDS = backends
    assert wait_unless_first(request_, WRONG) == 0
    assert (last_attempt.get() is not None) is counts
    assert not counts or last_attempt.get().by_door


def test_what_has_to_wait_at_a_door_is_over(settings, request_):
    settings.AUTHENTICATION_BACKENDS = [MODEL]
    assert left() == 2
    assert 0 < wait_unless_first(request_, WRONG) <= 60
    assert last_attempt.get() is None


# Failures


def test_a_failure_counts_and_is_recorded(request_, ada):
    begin(request_, WRONG)
    keep_failed(None, WRONG, request_)
    assert last_attempt.get() is None
    assert recorded() == [(Kind.LOGIN_FAILED, str(ada.pk), "")]
    assert SessionEvent.objects.get().ip == "203.0.113.7"
    request_.close()
    assert left() == 1


def test_one_that_was_not_counted_is_recorded_too(request_, ada):
    keep_failed(None, {"username": "nobody", "email": ada.email, "password": "wrong"}, request_)
    keep_failed(None, {"username": "nobody", "password": "wrong"})
    assert recorded() == [(Kind.LOGIN_FAILED, str(ada.pk), ""), (Kind.LOGIN_FAILED, "", "")]
    assert left() == 2


def test_one_that_was_refused_is_not_recorded_twice(request_, ada):
    assert left() == 2
    assert begin(request_, WRONG) > 0
    keep_failed(None, WRONG, request_)
    assert recorded() == 2 * [(Kind.LOGIN_LIMITED, str(ada.pk), "account")]


def test_one_of_nothing_that_can_be_guessed_leaves_the_last_attempt_alone(ada):
    begin(None, WRONG)
    keep_failed(None, {"token": "x"})
    assert recorded() == [(Kind.LOGIN_FAILED, "", "")]
    assert not last_attempt.get().is_settled
    assert last_attempt.get().subject == str(ada.pk)


@pytest.mark.parametrize("nothing", [{}, {"username": None}])
def test_a_page_that_asks_the_backends_about_any_visitor_is_no_failed_login(
    nothing, rf, django_assert_num_queries
):
    """As middlewares do whose backend reads a header, and as a shell that presents nothing at all."""
    with django_assert_num_queries(0):
        assert authenticate(**nothing) is None
        for page in (rf.get("/"), rf.head("/"), rf.options("/"), rf.trace("/")):
            assert authenticate(page, **nothing) is None
            assert authenticate(Request(page), **nothing) is None
    assert recorded() == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_is_sent_to_the_backends_in_no_keyword_is_one_that_failed(method, rf):
    """As by a passkey, which its backend reads from the request."""
    assert authenticate(rf.generic(method, "/")) is None
    assert recorded() == [(Kind.LOGIN_FAILED, "", "")]


def test_so_is_a_name_without_a_secret_wherever_it_comes_from(rf, ada):
    assert authenticate(rf.get("/"), remote_user="nobody") is None
    assert authenticate(username="ada") is None
    assert recorded() == [(Kind.LOGIN_FAILED, "", ""), (Kind.LOGIN_FAILED, str(ada.pk), "")]


def test_a_step_up_that_presents_nothing_has_failed(rf, ada):
    page = rf.get("/")
    request_state(page).proof_of = open_session(ada).session
    keep_failed(None, {}, page)
    assert SessionEvent.objects.filter(kind=Kind.PROOF_FAILED).count() == 1


def test_one_of_another_account_is_not_put_down_to_the_last_attempt(ada, bob):
    begin(None, WRONG)
    keep_failed(None, ANOTHER)
    assert recorded() == [(Kind.LOGIN_FAILED, str(bob.pk), "")]
    assert (left(), left(ANOTHER)) == (2, 2)


def test_one_of_a_step_up_names_the_session_whose_user_was_to_prove_it(request_, ada):
    session = open_session(ada).session
    request_state(request_).proof_of = session
    begin(request_, WRONG)
    keep_failed(None, WRONG, Request(request_))
    event = SessionEvent.objects.get(kind=Kind.PROOF_FAILED)
    assert (event.session, event.subject) == (session, str(ada.pk))
    assert not SessionEvent.objects.filter(kind=Kind.LOGIN_FAILED).exists()


# Success


def test_whoever_is_signed_in_after_all_need_not_wait(request_):
    begin(request_, WRONG)
    request_state(request_).login_wait = 7
    forget_wait(None, Request(request_))
    assert request_state(request_).login_wait == 0
    assert last_attempt.get() is None
    assert left() == 2


def test_also_without_a_request():
    begin(None, WRONG)
    forget_wait(None)
    assert left() == 2


def test_djangos_signals_report_both(request_, ada):
    begin(request_, WRONG)
    user_login_failed.send(sender=None, credentials=WRONG, request=request_)
    assert recorded() == [(Kind.LOGIN_FAILED, str(ada.pk), "")]
    request_state(request_).login_wait = 7
    user_logged_in.send(sender=None, request=HttpRequest(), user=ada)
    assert request_state(request_).login_wait == 7


# Authenticating within the limit


@pytest.fixture(params=[[LIMIT, MODEL], [MODEL], [MODEL, LIMIT]], ids=["first", "missing", "last"])
def backends(request, settings):
    """Where the backend that limits stands."""
    settings.AUTHENTICATION_BACKENDS = request.param


@pytest.mark.usefixtures("backends")
def test_a_right_password_does_not_count(request_, ada, password):
    for _try in range(4):
        assert authenticate_within_limit(request_, username="ada", password=password) == ada
        assert (last_attempt.get(), request_state(request_).login_wait) == (None, 0)
    assert left() == 2


@pytest.mark.usefixtures("backends")
def test_a_wrong_one_does_and_the_third_has_to_wait(request_, ada, password):
    for _try in range(2):
        assert authenticate_within_limit(request_, **WRONG) is None
        assert request_state(request_).login_wait == 0
    assert authenticate_within_limit(request_, username="ada", password=password) is None
    assert 0 < request_state(request_).login_wait <= 60
    assert [kind for kind, *_ in recorded()] == [Kind.LOGIN_FAILED, Kind.LOGIN_FAILED, Kind.LOGIN_LIMITED]


class Refusing:
    """Says no by an error of its own."""

    def authenticate(self, request, username=None, password=None):
        raise RuntimeError("no")


@pytest.mark.parametrize("limited", [[LIMIT], []], ids=["first", "missing"])
def test_a_backend_that_raises_has_perhaps_tried_it(limited, request_, settings):
    settings.AUTHENTICATION_BACKENDS = [*limited, f"{__name__}.Refusing"]
    with pytest.raises(RuntimeError, match="no"):
        authenticate_within_limit(request_, **WRONG)
    assert last_attempt.get() is None
    request_.close()
    settings.AUTHENTICATION_BACKENDS = [LIMIT, MODEL]
    assert left() == 1


# What goes wrong


def gone(execute, sql, params, many, context):
    raise DatabaseError("no connection")


@pytest.mark.parametrize(
    "attempt",
    [
        partial(authenticate_within_limit, username="ada", password=CANARY),
        partial(wait_unless_first, credentials={"username": "ada", "password": CANARY}),
        partial(begin, credentials={"username": "ada", "password": CANARY}),
        partial(keep_failed, credentials={"username": "ada", "password": CANARY}),
    ],
    ids=["authenticate_within_limit", "wait_unless_first", "begin", "keep_failed"],
)
def test_no_error_report_shows_a_password_that_was_tried(attempt, settings):
    settings.AUTHENTICATION_BACKENDS = [MODEL]
    with connection.execute_wrapper(gone), pytest.raises(DatabaseError) as raised:
        attempt(None)
    below = raised.value.__traceback__.tb_next  # this test's own frame holds it
    report = ExceptionReporter(None, raised.type, raised.value, below).get_traceback_html()
    assert "authx/logins/attempts.py" in report
    assert CANARY not in report
