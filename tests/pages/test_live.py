"""``live/``: what an open page is answered that asks whether it is still its user's."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.template import engines
from django.test import Client

from authx.conf import conf
from authx.core.actor import NOBODY
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_everyone, end_session, open_session, refresh_session
from authx.sessions.continuing import continue_session
from authx.sessions.open_pages import user_hash
from tests.faults_in_database import outage

pytestmark = pytest.mark.django_db

LIVE = "/account/live/"


@pytest.fixture
def opened(ada):
    return open_session(ada)


def holding(refresh_token=None, access_token=None):
    """A browser that has these cookies."""
    client = Client()
    for name, value in {conf.REFRESH_COOKIE: refresh_token, conf.ACCESS_COOKIE: access_token}.items():
        if value is not None:
            client.cookies[name] = value
    return client


def ask(opened, user=None, **headers):
    address = LIVE if user is None else f"{LIVE}?user={user}"
    return holding(opened.refresh_token).get(address, headers=headers)


def told(response):
    """The status, and what the visitor is told."""
    body = response.json()
    return response.status_code, body["code"], body["reason"], body["detail"]


def test_a_live_session_is_answered_with_nothing(opened):
    response = ask(opened, user_hash(opened.session))
    assert (response.status_code, response.content) == (204, b"")
    assert "no-store" in response["Cache-Control"]
    assert "Cookie" in response["Vary"]


def test_an_ended_one_is_answered_with_why_and_when(opened):
    before = opened.session.created_at
    end_session(opened.session, "kicked")
    response = ask(opened, user_hash(opened.session))
    said = (401, "session_ended", "kicked", "You were signed out by an administrator.")
    assert told(response) == said
    assert before <= datetime.fromisoformat(response.json()["ended_at"]) < before + timedelta(minutes=1)
    assert "no-store" in response["Cache-Control"]
    assert not response.cookies


def test_so_is_one_that_a_mark_has_ended(opened):
    end_everyone("credentials_changed")
    assert told(ask(opened))[2] == "credentials_changed"


def test_so_is_one_whose_user_may_not_use_it_any_more(opened, ada):
    type(ada)._default_manager.filter(pk=ada.pk).update(is_active=False)  # no signal
    response = ask(opened)
    assert told(response)[2] == "user_disabled"
    assert response.json()["ended_at"] is not None
    assert DeviceSession.objects.get().end_reason == "user_disabled"


@pytest.mark.parametrize(("column", "reason"), [("idle_expires_at", "idle"), ("expires_at", "expired")])
def test_so_is_one_past_its_limit(opened, column, reason):
    at = opened.now - timedelta(hours=3)
    DeviceSession.objects.update(**{column: at})
    response = ask(opened)
    assert told(response)[2] == reason
    assert datetime.fromisoformat(response.json()["ended_at"]) == at


def test_it_names_the_device_that_took_the_place(ada, settings):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["other"], "limit": 1, "when_full": "end_oldest"}]
    first = open_session(ada)
    open_session(ada)
    assert "newer sign-in (Other device)" in told(ask(first))[3]


def test_a_browser_without_a_session_is_told_so(db):
    response = Client().get(LIVE)
    assert told(response) == (401, "not_authenticated", "", "You are not signed in any more.")
    assert response.json()["ended_at"] is None


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "x" * 3000, '""'])
def test_garbage_is_nobody(token, opened):
    assert told(holding(token, token).get(LIVE))[1] == "not_authenticated"


def test_a_page_of_another_user_is_told_that_somebody_else_signed_in(opened, bob):
    response = ask(opened, user_hash(open_session(bob).session))
    assert told(response)[2] == "superseded"


@pytest.mark.parametrize("user", ["x", "0" * 32, "é" * 32, "%00"])
def test_a_hash_that_is_none_is_nobodys(opened, user):
    assert told(ask(opened, user))[2] == "superseded"


def test_a_newer_session_of_the_same_user_is_as_good(opened, ada):
    page = user_hash(opened.session)
    end_session(opened.session, "superseded")
    assert ask(open_session(ada), page).status_code == 204


def test_after_a_step_up_the_new_cookies_are_as_good(opened):
    page = user_hash(opened.session)
    continued = continue_session(opened.session, NOBODY, methods=["pwd"], came_back=True)
    assert ask(continued, page).status_code == 204
    assert told(ask(opened, page))[2] == "superseded"


def test_the_hash_is_of_one_site_alone_and_outlives_a_change_of_its_key(opened, settings):
    page, key = user_hash(opened.session), settings.SECRET_KEY
    assert str(opened.session.subject) != page
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-" * 8, [key]
    assert user_hash(opened.session) != page
    assert ask(opened, page).status_code == 204


def test_the_language_is_the_visitors(opened, settings):
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware", *settings.MIDDLEWARE]
    end_session(opened.session, "kicked")
    assert ask(opened, **{"accept-language": "de"})["Content-Language"] == "de"


def test_asking_is_no_use_and_renews_nothing(opened, django_assert_num_queries):
    """By a refresh cookie that is due, as the access cookie has gone: nothing is spent, nothing is seen."""
    before = DeviceSession.objects.values().get()
    for _ in range(3):
        with django_assert_num_queries(1):
            response = ask(opened, user_hash(opened.session))
        assert response.status_code == 204
        assert not response.cookies
    assert DeviceSession.objects.values().get() == before
    assert SessionEvent.objects.count() == 1


def test_any_refresh_token_of_the_session_will_do(opened):
    later = opened.now + conf.REFRESH_GRACE + timedelta(seconds=1)
    refresh_session(opened.refresh_token, now=later)
    refresh_session(opened.refresh_token, now=later)
    before = DeviceSession.objects.values().get()
    assert ask(opened).status_code == 204
    assert DeviceSession.objects.values().get() == before


def test_the_access_cookie_alone_will_do(opened):
    assert holding(access_token=opened.access_token).get(LIVE).status_code == 204


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_it_is_read_and_nothing_else(opened, method):
    assert getattr(holding(opened.refresh_token), method)(LIVE).status_code == 405


def test_a_site_that_demands_logins_of_every_page_demands_none_here(settings):
    at = settings.MIDDLEWARE.index("authx.pages.middleware.DeviceSessionMiddleware") + 1
    demanding = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:at], demanding, *settings.MIDDLEWARE[at:]]
    assert Client().get(LIVE).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_an_outage_is_no_ending(opened):
    with outage():
        response = ask(opened)
    assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
    assert response["Retry-After"] == "5"


def rendered(request, tag="{% live_notice %}"):
    return engines["django"].from_string("{% load authx %}" + tag).render({}, request).strip()


def page_of(opened):
    """The request of a page that its user has open."""
    return holding(opened.refresh_token, opened.access_token).get("/whoami/").wsgi_request


def test_the_tag_brings_the_notice_of_the_pages_own_user(opened):
    page = rendered(page_of(opened))
    assert f'data-address="/account/live/?user={user_hash(opened.session)}"' in page
    assert 'href="/account/login/"' in page
    assert "data-stream" not in page
    assert page.count("<script") == 1
    assert '<script type="module" src="/static/authx/live.js"></script>' in page
    assert "style=" not in page


def test_the_tag_brings_nothing_where_nobody_is_signed_in(db):
    assert rendered(Client().get("/whoami/").wsgi_request) == ""
    request = HttpRequest()
    request.user = AnonymousUser()
    assert rendered(request) == ""
    assert engines["django"].from_string("{% load authx %}{% live_notice %}").render({}).strip() == ""


@pytest.mark.parametrize(
    ("tag", "is_streamed"),
    [("{% live_notice stream=True %}", True), ("{% live_notice stream=False %}", False)],
)
def test_the_tag_can_be_told_whether_there_is_a_stream(opened, tag, is_streamed):
    assert (" data-stream" in rendered(page_of(opened), tag)) is is_streamed
