"""authx.identity.visit: nothing is read twice in a request, and beside a Bearer token nothing at all."""

import inspect
import sys
from collections import Counter
from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from django.test import Client
from itsdangerous import Signer

from authx.core import refresh_token
from authx.gate import verify
from authx.http import cookies
from authx.http.request_state import request_state
from authx.models import DeviceSession
from authx.sessions import open_session
from tests.across.test_costs import kinds, statements

pytestmark = pytest.mark.django_db

ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
API, PAGE = "/api/whoami/", "/whoami/"

#: Function -> what is counted; a refresh token's signature is told from others by who asks.
READINGS = {
    inspect.unwrap(verify.read_claims).__code__: "access token",
    inspect.unwrap(cookies._parse).__code__: "cookies",
}


@pytest.fixture(autouse=True)
def more_urls(settings):
    settings.ROOT_URLCONF = "tests.more_urls"


@pytest.fixture
def credentials(ada):
    return open_session(ada)


@pytest.fixture
def browser(credentials):
    client = Client()
    client.cookies = SimpleCookie({ACCESS: credentials.access_token, REFRESH: credentials.refresh_token})
    return client


def readings(act):
    """What was read how often while ``act`` ran, and its answer."""
    found = Counter()

    def note(frame, event, argument):
        if event != "call":
            return
        if frame.f_code is Signer.unsign.__code__:
            found["refresh token"] += frame.f_back.f_code is refresh_token.read_refresh_token.__code__
        elif frame.f_code in READINGS:
            found[READINGS[frame.f_code]] += 1

    sys.setprofile(note)
    try:
        answer = act()
    finally:
        sys.setprofile(None)
    assert answer.status_code == 200, answer.content
    return +found, answer


@pytest.mark.parametrize("path", [PAGE, API], ids=["page", "API"])
def test_a_request_reads_each_cookie_and_the_access_token_once(path, browser, ada):
    """Of the refresh token it is enough that it names the same session: it buys nothing."""
    found, answer = readings(lambda: browser.get(path))
    assert found == {"cookies": 1, "access token": 1}
    assert answer.json()["user"] in {str(ada.pk), ada.get_username()}


@pytest.mark.parametrize("path", [PAGE, API], ids=["page", "API"])
@pytest.mark.parametrize("grace", [timedelta(microseconds=1), timedelta(seconds=30)], ids=["rotates", "T1b"])
def test_so_it_does_where_it_renews(path, grace, browser, settings):
    settings.AUTHX_REFRESH_GRACE = grace
    del browser.cookies[ACCESS]
    found, answer = readings(lambda: browser.get(path))
    assert found == {"cookies": 1, "refresh token": 1}
    assert answer.cookies[ACCESS].value


def test_so_it_does_where_it_renews_too_often(browser, settings):
    settings.AUTHX_REFRESH_RATE = "1/day"
    for _ in range(3):  # the second raises the alarm
        browser.cookies.pop(ACCESS, None)
        found, answer = readings(lambda: browser.get(API))
    assert found == {"cookies": 1, "refresh token": 1}
    assert not answer.cookies


def test_a_refresh_by_cookie_reads_its_token_once(browser):
    found, _ = readings(lambda: browser.post("/api/auth/refresh/"))
    assert found == {"cookies": 1, "access token": 1, "refresh token": 1}


def test_so_does_one_by_body(credentials):
    body = {"refresh_token": credentials.refresh_token}
    found, _ = readings(lambda: Client().post("/api/auth/refresh/", body, content_type="application/json"))
    assert (found["refresh token"], found["access token"]) == (1, 0)


def test_a_renewed_api_request_asks_for_its_session_no_second_time(browser):
    """T1b: one to judge, one to confirm; one more before the cookies leave."""
    del browser.cookies[ACCESS]
    answer, asked = statements(lambda: browser.get(API))
    assert (answer.status_code, kinds(asked)) == (200, ["SELECT", "UPDATE", "SELECT"])


def test_nor_does_one_whose_page_has_asked_already(browser, settings, django_assert_num_queries):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.asks_who_it_is"]
    browser.get(API)  # confirms
    with django_assert_num_queries(1):
        assert browser.get(API).status_code == 200


def asks_who_it_is(get_response):
    def middleware(request):
        assert request.user.is_authenticated
        return get_response(request)

    return middleware


# Beside a Bearer token


def test_beside_a_bearer_token_no_cookie_is_read_and_no_visit_made(browser, credentials):
    headers = {"Authorization": f"Bearer {credentials.access_token}"}
    found, answer = readings(lambda: browser.get(API, headers=headers))
    assert found == {"access token": 1}
    assert request_state(answer.wsgi_request).visit is None


def test_a_page_beside_one_that_asks_is_nobodys_and_says_that_it_depends_on_cookies(browser, credentials):
    answer = browser.get(PAGE, headers={"Authorization": f"Bearer {credentials.access_token}"})
    assert answer.json() == {"user": None, "session": None}
    assert answer["Vary"] == "Cookie"
    assert answer.wsgi_request.device_session is None


def test_a_django_login_beside_one_is_delivered_all_the_same(ada, password, credentials):
    client = Client()
    typed = {"username": ada.get_username(), "password": password}
    headers = {"Authorization": f"Bearer {credentials.access_token}"}
    answer = client.post("/account/login/", typed, headers=headers)
    assert answer.status_code == 302
    assert client.get(PAGE).json()["user"] == ada.get_username()
    assert client.cookies[ACCESS].value
    assert DeviceSession.objects.count() == 2
