"""authx.logins.browser: the session that a browser came with."""

from dataclasses import replace
from threading import Thread

import pytest
from django.contrib.sessions.backends.cache import SessionStore
from django.db import connection
from django.test import Client, RequestFactory

from authx.conf import conf
from authx.core.access_token import write_access_token
from authx.errors import StoreUnavailable
from authx.gate.keys import keyring
from authx.http import django_session
from authx.logins.browser import browser_session, cookie_session
from authx.sessions import end_session, open_session

OURS = {"__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"}


def came_with(*, refresh=None, access=None, bound_to=None):
    given = {conf.REFRESH_COOKIE: refresh, conf.ACCESS_COOKIE: access}
    header = "; ".join(f"{name}={value}" for name, value in given.items() if value is not None)
    request = RequestFactory().get("/", HTTP_COOKIE=header)
    request.session = SessionStore()
    if bound_to is not None:
        django_session.bind(request, str(bound_to))
    return request


@pytest.fixture
def opened(ada):
    return open_session(ada)


def test_a_browsers_cookies_name_its_session_by_either_of_them(opened):
    sid, access, refresh = opened.session.pk, opened.access_token, opened.refresh_token
    assert cookie_session(came_with(refresh=refresh)).session.pk == sid
    assert cookie_session(came_with(access=access)).session.pk == sid
    assert cookie_session(came_with(refresh="garbage", access=access)).session.pk == sid
    assert cookie_session(came_with(refresh=refresh, access="garbage")).session.pk == sid
    assert cookie_session(came_with(refresh="garbage", access="garbage")) is None
    assert cookie_session(came_with()) is None
    named_otherwise = write_access_token(replace(opened.claims, sid="7"), keyring.keyset().signing)
    assert cookie_session(came_with(access=named_otherwise)) is None


def test_where_the_cookies_name_none_the_django_session_may(ada, opened):
    other = open_session(ada)
    end_session(opened.session, "kicked")
    assert browser_session(came_with(bound_to=opened.session.pk)).end_reason == "kicked"
    assert browser_session(came_with(refresh="garbage", bound_to=opened.session.pk)).pk == opened.session.pk
    assert (
        browser_session(came_with(access=other.access_token, bound_to=opened.session.pk)).pk
        == other.session.pk
    )
    assert browser_session(came_with()) is None
    assert cookie_session(came_with(bound_to=opened.session.pk)) is None


# Where the keys that sign access tokens cannot be read


@pytest.fixture
def admins(admin):
    """What an administrator's login was given."""
    return open_session(admin)


@pytest.fixture
def keys_unread(admins, monkeypatch):
    """This process has not read the managed keys yet, and can start no thread to read them."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    keyring.keyset_of.cache_clear()
    monkeypatch.setattr(connection, "is_in_memory_db", lambda: False, raising=False)
    monkeypatch.setattr(Thread, "start", refuse)
    yield
    keyring.keyset_of.cache_clear()


def came_back(opened, **cookies):
    """A client with both cookies, or with those given instead."""
    client = Client()
    client.cookies[conf.ACCESS_COOKIE] = cookies.get("access", opened.access_token)
    client.cookies[conf.REFRESH_COOKIE] = cookies.get("refresh", opened.refresh_token)
    return client


LOGOUTS = {
    "api": ("/api/auth/logout/", 204),
    "page": ("/account/logout/", 200),
    "admin": ("/admin/logout/", 200),
}


def test_the_refresh_cookie_alone_names_the_session(admins, keys_unread):
    both = came_with(refresh=admins.refresh_token, access=admins.access_token)
    assert cookie_session(both).session.pk == admins.session.pk
    with pytest.raises(StoreUnavailable):
        cookie_session(came_with(refresh="garbage", access=admins.access_token))


@pytest.mark.parametrize("door", LOGOUTS)
def test_a_logout_needs_the_refresh_cookie_alone(door, admins, keys_unread):
    path, status = LOGOUTS[door]
    response = came_back(admins).post(path)
    assert response.status_code == status
    assert response.cookies[conf.REFRESH_COOKIE].value == ""
    admins.session.refresh_from_db()
    assert admins.session.end_reason == "logout"


@pytest.mark.parametrize("door", LOGOUTS)
def test_a_logout_that_needs_the_access_cookie_too_is_503_and_takes_no_cookie(door, admins, keys_unread):
    path, _status = LOGOUTS[door]
    response = came_back(admins, refresh="garbage").post(path)
    assert (response.status_code, response.cookies.keys() & OURS) == (503, set())
    admins.session.refresh_from_db()
    assert admins.session.end_reason == ""
