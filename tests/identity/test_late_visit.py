"""authx.identity.request_members: whenever a visit is made, it is the one that the request came with."""

import asyncio
import copy
from contextlib import suppress
from http.cookies import SimpleCookie
from threading import Barrier, BrokenBarrierError, Thread

import pytest
from django.contrib.auth import get_user_model, login
from django.http import HttpResponse, JsonResponse
from django.test import Client
from django.urls import path

from authx.core.key_schedule import POLL_INTERVAL
from authx.errors import StoreUnavailable
from authx.gate.keys import keyring
from authx.http.request_state import request_state
from authx.http.session_key import add_key
from authx.identity import request_members
from authx.issuer import signing_keys
from authx.pages.middleware import DeviceSessionMiddleware
from authx.sessions import open_session
from tests.pages.test_thread_hops import DJANGOS, OURS, _ask, handler, jar, untouched_async  # noqa: F401
from tests.urls import urlpatterns as site

pytestmark = pytest.mark.django_db(transaction=True)

ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
BACKEND = "django.contrib.auth.backends.ModelBackend"
FOREIGN = {"Authorization": "Bearer of-another-service"}


def who(request):
    return JsonResponse({"user": request.user.is_authenticated})


def who_by_copy(request):
    return JsonResponse({"user": copy.copy(request).user.is_authenticated})


def log_in_by_copy(request):
    login(copy.copy(request), get_user_model().objects.get(), backend=BACKEND)
    return HttpResponse("in")


def set_header(request):
    request.META["HTTP_AUTHORIZATION"] = "Bearer of-another-service"
    return who(request)


def fail(request):
    raise ValueError("the site's own")


def have_an_outage(request):
    raise StoreUnavailable("down")


urlpatterns = [
    path("who/", who),
    path("who-by-copy/", who_by_copy),
    path("log-in-by-copy/", log_in_by_copy),
    path("set-header/", set_header),
    path("fail/", fail),
    path("have-an-outage/", have_an_outage),
    path("untouched-async/", untouched_async),
    *site,
]


@pytest.fixture(autouse=True)
def urls(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def browser(ada):
    credentials = open_session(ada)
    client = Client()
    client.cookies = SimpleCookie({ACCESS: credentials.access_token, REFRESH: credentials.refresh_token})
    return client


def behind(settings, name):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.{name}"]


def test_a_page_that_asks_for_nobody_makes_none(browser):
    for _time in range(2):
        answer = browser.get("/untouched/")
        assert answer.status_code == 200
        assert request_state(answer.wsgi_request).visit is None
        assert "Vary" not in answer


# The Django session that the request came with


def goes_on_with_another_key(get_response):
    def middleware(request):
        request.session["theme"] = "dark"
        request.session.cycle_key()
        return get_response(request)

    return middleware


def starts_a_session(get_response):
    def middleware(request):
        request.session["theme"] = "dark"
        request.session.create()
        add_key(request)
        return get_response(request)

    return middleware


@pytest.mark.parametrize("kept", [True, False], ids=["with a session", "without"])
def test_it_knows_the_key_that_the_django_session_came_with(kept, browser, settings):
    before = None
    if kept:
        behind(settings, "goes_on_with_another_key")
        browser.get("/who/")
        before = browser.cookies["sessionid"].value
    else:
        behind(settings, "starts_a_session")
    request = browser.get("/who/").wsgi_request
    assert request.session.session_key != before
    assert request.authx_visit.django_key == before


# The header that the request came with


def sets_header(get_response):
    """As sites have it that call their API by a token in a cookie."""

    def middleware(request):
        request.META["HTTP_AUTHORIZATION"] = "Bearer of-another-service"
        return get_response(request)

    return middleware


def removes_header(get_response):
    def middleware(request):
        request.META.pop("HTTP_AUTHORIZATION", None)
        return get_response(request)

    return middleware


def test_a_header_that_is_set_later_makes_nobody_of_nobody(browser, settings):
    assert browser.get("/set-header/").json() == {"user": True}
    behind(settings, "sets_header")
    for lost in (None, ACCESS, None):  # as it is, renewed, and as it is then
        browser.cookies.pop(lost, None)
        assert browser.get("/who/").json() == {"user": True}


def test_one_that_is_removed_later_makes_nobody_somebody(browser, settings):
    behind(settings, "removes_header")
    assert browser.get("/who/", headers=FOREIGN).json() == {"user": False}


def test_a_marked_page_beside_one_is_no_page_either(settings):
    settings.LOGIN_URL = "/untouched/"
    assert "__Host-authx_device" in Client().get("/untouched/?authx_retry=1").cookies
    assert not Client().get("/untouched/?authx_retry=1", headers=FOREIGN).cookies


def test_beside_one_no_key_is_asked_for(browser, monkeypatch):
    """Such as those of a second tenant whose database is down: they have not been read yet."""
    browser.get("/who/")

    def find(self, kid):
        raise StoreUnavailable("the signing keys have not been read yet")

    monkeypatch.setattr(keyring.Keyring, "find", find)
    answer = browser.get("/who/", headers=FOREIGN)
    assert (answer.status_code, answer.json()) == (200, {"user": False})


def test_nor_is_one_read_in_the_event_loop(handler, ada):  # noqa: F811
    app = handler(*DJANGOS, OURS)
    signing_keys.rotate(at_once=True)
    cookies = {"cookie": jar(open_session(ada))}

    def ask(headers):
        return asyncio.run(_ask(app, "/untouched-async/", headers))

    ask(cookies)
    ask(cookies)
    ours, where = keyring.keyset(), []
    now, load = ours._clock, ours._load

    def load_and_note_where(*given):
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            where.append("in a thread")
        else:
            where.append("in the event loop")
        return load(*given)

    ours._load = load_and_note_where
    ours._copy._clock = ours._clock = lambda: now() + POLL_INTERVAL.total_seconds() + 1
    ask(cookies | {"authorization": FOREIGN["Authorization"]})
    assert where == []
    ask(cookies)
    assert where == ["in a thread"]


# One of each request


def test_a_copy_of_the_request_has_the_same(browser):
    answer = browser.get("/who-by-copy/")
    assert answer.json() == {"user": True}
    assert "Cookie" in answer["Vary"]
    assert "private" in answer["Cache-Control"]


def test_a_login_by_a_copy_is_delivered(ada):
    assert Client().get("/log-in-by-copy/").cookies[ACCESS].value


def test_two_threads_are_given_one(browser, monkeypatch):
    original, both = request_members.Visit, Barrier(2)

    def made_together(*given):
        with suppress(BrokenBarrierError):  # the other has been given this one's
            both.wait(3)
        return original(*given)

    request = browser.get("/untouched/").wsgi_request
    monkeypatch.setattr(request_members, "Visit", made_together)
    found = []
    threads = [Thread(target=lambda: found.append(request.authx_visit)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is found[1]


# A site's own middleware


class Skipping(DeviceSessionMiddleware):
    """It leaves some pages out; Django asks it about their errors all the same."""

    def __call__(self, request):
        if request.path in {"/fail/", "/have-an-outage/"}:
            return self.get_response(request)
        return super().__call__(request)


def test_what_it_leaves_out_has_its_own_errors(browser, settings):
    order = [f"{__name__}.Skipping" if name == OURS else name for name in settings.MIDDLEWARE]
    settings.MIDDLEWARE = order
    assert browser.get("/have-an-outage/").status_code == 503
    with pytest.raises(ValueError, match="own"):
        browser.get("/fail/")
