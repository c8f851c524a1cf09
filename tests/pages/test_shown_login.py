"""authx.http.shown_login: a Django session shows who our cookies alone sign in, and stores nothing of it."""

from datetime import timedelta

import pytest
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    login,
    update_session_auth_hash,
)
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client
from django.urls import path

from authx.models import DeviceSession
from authx.sessions import end_session
from tests.identity.test_deleted_sessions import api_login
from tests.urls import urlpatterns as site

pytestmark = pytest.mark.django_db

LOGIN_KEYS = [SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY]
BOUND_KEY = "_authx_session"


def shown(request: HttpRequest) -> HttpResponse:
    """Say what a page sees of the login in the Django session."""
    if "store" in request.GET:
        request.session["cart"] = "full"
    assert request.user.is_authenticated or not request.session.keys()
    if "save" in request.GET:
        request.session.save()
    if "cycle" in request.GET:
        request.session.cycle_key()
    return JsonResponse({key: request.session.get(key) for key in LOGIN_KEYS})


def log_in_again(request: HttpRequest) -> HttpResponse:
    login(request, request.user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


def change_password(request: HttpRequest) -> HttpResponse:
    request.user.set_password("another-horse-9")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return HttpResponse()


urlpatterns = [
    path("shown/", shown),
    path("log-in-again/", log_in_again),
    path("change-password/", change_password),
    *site,
]


@pytest.fixture(autouse=True)
def urls(settings):
    settings.ROOT_URLCONF = "tests.pages.test_shown_login"


@pytest.fixture
def browser(ada, password):
    """A browser that ada has signed in by the API: no Django login is in its Django session."""
    client = Client()
    api_login(client, ada, password)
    return client


def seen_by(user):
    backend = "django.contrib.auth.backends.ModelBackend"
    return dict(zip(LOGIN_KEYS, [str(user.pk), backend, user.get_session_auth_hash()], strict=True))


def stored():
    return [each.get_decoded() for each in Session.objects.all()]


def test_a_page_sees_who_is_signed_in(browser, ada):
    assert browser.get("/shown/").json() == seen_by(ada)
    assert not Session.objects.exists()


def test_a_django_session_that_has_expired_shows_it_too(ada, password):
    client = Client()
    client.post("/django-login/", {"username": ada.get_username(), "password": password})
    client.get("/whoami/")
    client.cookies.pop("sessionid")
    Session.objects.update(expire_date=DeviceSession.objects.get().created_at - timedelta(days=1))
    assert client.get("/shown/").json() == seen_by(ada)


def test_nobody_sees_nothing(client):
    assert client.get("/shown/").json() == dict.fromkeys(LOGIN_KEYS)


@pytest.mark.parametrize("every", [False, True], ids=["", "saved at every request"])
@pytest.mark.parametrize("query", ["store", "store&cycle", "store&save", "cycle"])
def test_what_a_page_stores_holds_no_login(query, every, browser, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = every
    browser.get(f"/shown/?{query}")
    sid = str(DeviceSession.objects.get().pk)
    for data in stored():
        assert not set(LOGIN_KEYS) & set(data)
        assert data[BOUND_KEY] == sid


def test_a_session_saved_at_every_request_is_not_made_by_it(browser, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    assert "sessionid" not in browser.get("/shown/").cookies
    assert not Session.objects.exists()


def test_what_a_page_saves_itself_ends_with_the_device_session(browser):
    browser.get("/shown/?save")
    sid = str(DeviceSession.objects.get().pk)
    (data,) = stored()
    assert data[BOUND_KEY] == sid
    end_session(DeviceSession.objects.get(), "kicked")
    for name in ("__Host-authx_access", "__Host-authx_refresh"):
        browser.cookies.pop(name)
    assert browser.get("/whoami/").json() == {"user": None, "session": None}
    assert DeviceSession.objects.count() == 1


def test_a_planted_session_gets_a_new_key_where_a_page_stores_something(browser):
    attacker = Client()
    planted = attacker.session
    planted["cart"] = "planted"
    planted.save()
    browser.cookies["sessionid"] = planted.session_key
    browser.get("/shown/?store")
    assert browser.cookies["sessionid"].value != planted.session_key
    assert not Session.objects.filter(pk=planted.session_key).exists()


def test_a_login_by_the_same_user_is_one_as_ever(browser, ada):
    before = DeviceSession.objects.get()
    browser.post("/log-in-again/")
    session = DeviceSession.objects.live().get()
    assert session != before
    assert browser.session[SESSION_KEY] == str(ada.pk)
    assert browser.session[BOUND_KEY] == str(session.pk)


def test_an_own_password_change_stays_signed_in(browser, ada):
    browser.post("/change-password/")
    assert browser.get("/whoami/").json()["session"] == str(DeviceSession.objects.live().get().pk)
