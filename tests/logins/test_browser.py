"""authx.logins.browser: the session that a browser came with."""

from dataclasses import replace

import pytest
from django.contrib.sessions.backends.cache import SessionStore
from django.test import RequestFactory

from authx.conf import conf
from authx.core.access_token import write_access_token
from authx.gate.keys import keyring
from authx.http import django_session
from authx.logins.browser import browser_session, cookie_session
from authx.sessions import end_session, open_session


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
