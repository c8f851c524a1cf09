"""dj-rest-auth's JWT cookies: the browser that has them has a session, and does not notice."""

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from dj_rest_auth.app_settings import api_settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError, connections
from django.test import AsyncClient, Client
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken
from rest_framework_simplejwt.tokens import RefreshToken

from authx.conf import conf
from authx.contrib.moving import once
from authx.contrib.moving.jwt_cookies import CookieMiddleware
from authx.models import DeviceSession
from authx.sessions import end_user_sessions, open_session
from tests.moving.test_simplejwt import pass_time
from tests.racing import race

pytestmark = pytest.mark.django_db

ACCESS, REFRESH = "old-access", "old-refresh"


@pytest.fixture
def browser(ada):
    """One in which ada has signed in with dj-rest-auth, before authx."""
    browser = Client(headers={"X-Forwarded-Proto": "https", "User-Agent": "Mozilla/5.0 Firefox/140.0"})
    token = RefreshToken.for_user(ada)
    browser.cookies[REFRESH], browser.cookies[ACCESS] = str(token), str(token.access_token)
    return browser


def whoami(browser):
    return browser.get("/whoami/").json()["user"]


def held(browser):
    return {name for name, cookie in browser.cookies.items() if cookie.value}


def test_the_old_cookies_become_ours(browser):
    assert whoami(browser) == "ada"
    session = DeviceSession.objects.get()
    assert held(browser) == {conf.ACCESS_COOKIE, conf.REFRESH_COOKIE, conf.DEVICE_COOKIE}
    assert whoami(browser) == "ada"
    assert DeviceSession.objects.get() == session


def copied(browser):
    """Another one with the same cookies: this one before the next answer."""
    copy = Client(headers={"X-Forwarded-Proto": "https"})
    for name, cookie in browser.cookies.items():
        copy.cookies[name] = cookie.value
    return copy


OURS = {conf.ACCESS_COOKIE, conf.REFRESH_COOKIE}


def test_a_lost_answer_loses_nothing_however_late(browser, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        assert whoami(copied(browser)) == "ada"
    session = DeviceSession.objects.get()
    assert session.confirmed_generation == 0, "the browser has nothing of it yet"
    pass_time(session.pk, timedelta(days=2))
    with django_capture_on_commit_callbacks(execute=True):
        assert whoami(browser) == "ada"
        assert whoami(browser) == "ada"
    session.refresh_from_db()
    assert session.confirmed_generation == 1
    assert DeviceSession.objects.count() == 1


def test_cookies_that_come_back_when_ours_are_in_use_are_a_copy(browser, django_capture_on_commit_callbacks):
    thief = copied(browser)
    with django_capture_on_commit_callbacks(execute=True):
        assert [whoami(browser), whoami(browser)] == ["ada", "ada"]
    pass_time(DeviceSession.objects.get().pk)
    assert whoami(thief) is None
    assert whoami(browser) is None
    assert DeviceSession.objects.get().end_reason == "reused"


def test_a_burst_is_one_session(browser):
    tabs = [copied(browser) for _tab in range(5)]
    assert [whoami(tab) for tab in tabs] == ["ada"] * 5
    assert [whoami(tab) for tab in tabs] == ["ada"] * 5
    assert DeviceSession.objects.count() == 1


def test_the_api_knows_the_browser_too(browser, ada):
    answer = browser.get("/api/whoami/")
    assert answer.json()["user"] == str(ada.pk)
    assert held(browser) >= OURS
    assert REFRESH not in held(browser)


def test_an_async_site_does_the_same(browser):
    client = AsyncClient(headers={"X-Forwarded-Proto": "https"})
    client.cookies = browser.cookies
    answer = async_to_sync(client.get)("/async-whoami/")
    assert answer.json()["user"] == "ada"
    assert answer.cookies[REFRESH].value == ""
    assert answer.cookies[conf.REFRESH_COOKIE].value


@pytest.mark.parametrize(
    "path", ["/django-logout/", "/account/logout/", "/api/auth/logout/", "/dj-rest-auth/logout/"]
)
@pytest.mark.parametrize("before", [True, False], ids=["moved", "not yet"])
def test_a_logout_leaves_nothing(browser, path, before):
    if before:
        assert whoami(browser) == "ada"
    answer = browser.post(path)
    assert answer.status_code < 400, answer.content
    assert not held(browser) & {ACCESS, REFRESH, *OURS}
    assert whoami(browser) is None
    assert DeviceSession.objects.get().end_reason == "logout"


@pytest.mark.parametrize("door", ["page", "api", "dj-rest-auth"])
def test_a_login_over_them_takes_them_back(browser, bob, password, door):
    credentials = {"username": "bob", "password": password}
    path = {"page": "/account/login/", "api": "/api/auth/login/", "dj-rest-auth": "/dj-rest-auth/login/"}[
        door
    ]
    more = {"transport": "cookie"} if door == "api" else {}
    answer = browser.post(
        path, {**credentials, **more}, **({"content_type": "application/json"} if more else {})
    )
    assert answer.status_code < 400, answer.content
    assert not held(browser) & {ACCESS, REFRESH}
    assert whoami(browser) == "bob"
    assert DeviceSession.objects.live().get().user == bob


def kick(ada):
    end_user_sessions(ada, "kicked")


def disable(ada):
    get_user_model().objects.update(is_active=False)


def change_password(ada):
    ada.set_password("another")
    ada.save()


@pytest.mark.parametrize("end", [kick, disable, change_password])
@pytest.mark.parametrize("lost", [True, False], ids=["answer lost", "not moved yet"])
def test_who_is_out_stays_out(browser, ada, end, lost):
    if lost:
        whoami(copied(browser))
    end(ada)
    assert whoami(browser) is None
    assert not DeviceSession.objects.live().exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Purpose": "prefetch"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Authorization": "Bearer a.b.c"},
    ],
    ids=["prefetch", "cross-site", "bearer"],
)
def test_not_every_request_moves_it(browser, headers):
    browser.get("/untouched/", headers=headers)
    browser.options("/untouched/")
    assert not DeviceSession.objects.exists()
    assert held(browser) == {ACCESS, REFRESH}


def test_a_post_of_another_site_does_not(browser):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    browser.post("/whoami/", headers=headers)
    assert not DeviceSession.objects.exists()


def test_a_form_needs_its_csrf_token_all_the_same(browser):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    assert strict.post("/password-change/").status_code == 403
    assert whoami(strict) == "ada"


def test_ours_beside_them_win_and_they_go(browser, bob):
    ours = open_session(bob)
    browser.cookies[conf.ACCESS_COOKIE] = ours.access_token
    browser.cookies[conf.REFRESH_COOKIE] = ours.refresh_token
    assert whoami(browser) == "bob"
    assert not held(browser) & {ACCESS, REFRESH}
    assert DeviceSession.objects.count() == 1


@pytest.mark.parametrize("text", ["", "garbage", "a.b.c", "x" * 9000, '"', "é"])
def test_garbage_is_an_anonymous_visitor(browser, text):
    browser.cookies[REFRESH] = text
    assert whoami(browser) is None


def test_a_django_login_beside_them_is_the_same_session(browser, ada):
    session = SessionStore()
    session.update({"_auth_user_id": str(ada.pk), "_auth_user_hash": ada.get_session_auth_hash()})
    session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    session.save()  # as before authx
    browser.cookies["sessionid"] = session.session_key
    assert [whoami(browser), whoami(browser)] == ["ada", "ada"]
    assert DeviceSession.objects.count() == 1


def test_after_the_date_they_are_nothing(browser, settings):
    settings.AUTHX_MOVING_UNTIL = timezone.now()
    assert whoami(browser) is None
    assert not DeviceSession.objects.exists()


def test_a_site_with_an_access_cookie_alone(browser, monkeypatch, ada):
    monkeypatch.setattr(api_settings, "JWT_AUTH_REFRESH_COOKIE", None)
    del browser.cookies[REFRESH]
    assert [whoami(browser), whoami(browser)] == ["ada", "ada"]
    assert ACCESS not in held(browser)


def test_an_access_cookie_is_not_worth_a_session_where_there_is_a_refresh_cookie(browser):
    del browser.cookies[REFRESH]
    assert whoami(browser) is None
    browser.cookies[REFRESH] = browser.cookies[ACCESS].value
    assert whoami(browser) is None


def test_it_may_blacklist(browser, monkeypatch):
    monkeypatch.setattr(CookieMiddleware, "blacklists", True)
    assert [whoami(copied(browser)), whoami(browser)] == ["ada", "ada"]
    assert BlacklistedToken.objects.count() == 1


@pytest.mark.parametrize(("path", "kind"), [("/whoami/", "text/html"), ("/api/whoami/", "application/json")])
def test_a_database_that_cannot_be_asked_is_no_logout(browser, monkeypatch, path, kind):
    def fail(mark):
        raise OperationalError("gone")

    monkeypatch.setattr(once, "find_adopted", fail)
    answer = browser.get(path)
    assert (answer.status_code, answer["Retry-After"] != "") == (503, True)
    assert answer["Content-Type"].startswith(kind)
    assert held(browser) == {ACCESS, REFRESH}


def test_the_old_refresh_path_renews_and_says_so(browser, ada):
    answer = browser.post("/dj-rest-auth/token/refresh/")
    assert answer.status_code == 200, answer.content
    assert held(browser) >= OURS
    assert answer["Cache-Control"] != ""
    whom = Client().get("/api/whoami/", headers={"Authorization": f"Bearer {answer.json()['access']}"})
    assert whom.json()["user"] == str(ada.pk)
    answer = browser.post("/dj-rest-auth/token/refresh/", {}, content_type="application/json")
    assert set(answer.json()) == {"access", "access_expiration"}
    del browser.cookies[conf.ACCESS_COOKIE]
    assert browser.post("/dj-rest-auth/token/refresh/").status_code == 200
    assert browser.cookies[conf.ACCESS_COOKIE].value
    assert DeviceSession.objects.count() == 1


@pytest.mark.parametrize("has_moved", [False, True])
def test_the_old_refresh_path_asks_cookies_for_the_csrf_token(browser, has_moved):
    token = browser.cookies[REFRESH].value
    assert not has_moved or whoami(browser) == "ada"
    strict = Client(enforce_csrf_checks=True, headers={"X-Forwarded-Proto": "https"})
    strict.cookies = browser.cookies
    path = "/dj-rest-auth/token/refresh/"
    answer = strict.post(path)
    assert (answer.status_code, "access" in answer.json()) == (403, False), answer.content
    sent = strict.post(path, {"refresh": token}, content_type="application/json")
    assert sent.status_code == 200, "it knows the token"
    strict.cookies["csrftoken"] = secret = "s" * 32
    answer = strict.post(path, headers={"X-CSRFToken": secret})
    assert (answer.status_code, set(answer.json())) == (200, {"access", "access_expiration"})


def test_the_old_refresh_path_takes_a_body_too_and_refuses_nobody(browser, ada):
    token = RefreshToken.for_user(ada)
    client = Client()
    answer = client.post(
        "/dj-rest-auth/token/refresh/", {"refresh": str(token)}, content_type="application/json"
    )
    assert answer.json()["refresh"]
    answer = client.post("/dj-rest-auth/token/refresh/")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    kick(ada)
    answer = browser.post("/dj-rest-auth/token/refresh/")
    assert answer.status_code == 401


def test_a_script_may_still_send_the_token_that_was_in_the_cookie(
    browser, ada, django_capture_on_commit_callbacks
):
    token = browser.cookies[REFRESH].value
    with django_capture_on_commit_callbacks(execute=True):
        assert [whoami(browser), whoami(browser)] == ["ada", "ada"]
    pass_time(DeviceSession.objects.get().pk)
    path, body = "/dj-rest-auth/token/refresh/", {"refresh": token}
    answer = browser.post(path, body, content_type="application/json")
    assert (answer.status_code, set(answer.json())) == (200, {"access", "access_expiration"})
    assert whoami(browser) == "ada"
    answer = Client().post(path, body, content_type="application/json")
    assert answer.json()["code"] == "refresh_reused", "without the cookies it is a copy"


@pytest.mark.parametrize("value", ["of-another-site", "a.b.c", '""'])
def test_cookies_of_our_names_that_are_not_ours_do_not_count(browser, value):
    browser.cookies[conf.ACCESS_COOKIE] = browser.cookies[conf.REFRESH_COOKIE] = value
    assert [whoami(browser), whoami(browser)] == ["ada", "ada"]
    assert not held(browser) & {ACCESS, REFRESH}


@pytest.mark.parametrize("atomic", [False, True])
def test_a_page_that_fails_keeps_what_was_moved(browser, atomic, monkeypatch):
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", atomic)
    browser.raise_request_exception = False
    assert browser.get("/boom/").status_code == 500
    assert held(browser) >= OURS
    assert whoami(browser) == "ada"


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases("sqlite", "postgresql", "mariadb")
def test_tabs_at_once_are_one_session(browser):
    tabs = [copied(browser) for _tab in range(6)]
    assert race(*[lambda tab=tab: whoami(tab) for tab in tabs]) == ["ada"] * 6
    assert race(*[lambda tab=tab: whoami(tab) for tab in tabs]) == ["ada"] * 6
    assert DeviceSession.objects.count() == 1
