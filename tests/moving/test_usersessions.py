"""allauth.usersessions: its list and ours agree, whichever a session is ended in."""

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client
from django.urls import reverse

from authx.conf import conf
from authx.models import DeviceSession
from authx.sessions import end_session, end_user_sessions

# What follows a commit has to follow it within its request.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases("sqlite")]

BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]


@pytest.fixture(autouse=True)
def _backends(settings):
    settings.AUTHENTICATION_BACKENDS = BACKENDS


@pytest.fixture(params=["db", "cached_db", "cache"])
def engine(request, settings):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.USERSESSIONS_ADAPTER = "authx.contrib.moving.allauth_usersessions.Adapter"
    return request.param


@pytest.fixture
def sign_in(ada, password):
    """Open a browser in which ada has signed in with allauth, and whose cookies have come back."""

    def sign_in():
        browser = Client(headers={"X-Forwarded-Proto": "https"})
        answer = browser.post("/accounts/login/", {"login": ada.get_username(), "password": password})
        assert answer.status_code == 302, answer.content
        assert whoami(browser) == "ada"
        return browser

    return sign_in


def whoami(browser):
    return browser.get("/whoami/").json()["user"]


def theirs():
    return set(UserSession.objects.values_list("session_key", flat=True))


def shown(user):
    """What their page lists."""
    return {session.session_key for session in UserSession.objects.purge_and_list(user)}


def key(browser):
    return browser.cookies["sessionid"].value


def device(browser):
    return DeviceSession.objects.get(pk=browser.get("/whoami/").json()["session"])


def test_what_is_ended_there_ends_here(engine, sign_in):
    phone, laptop = sign_in(), sign_in()
    laptop.post(reverse("usersessions_list"))
    assert [whoami(browser) for browser in (phone, laptop)] == [None, "ada"]
    ended = DeviceSession.objects.exclude(ended_at=None).get()
    assert (ended.end_reason, ended.ended_by.get_username()) == ("ended_by_user", "ada")
    assert theirs() == {key(laptop)}


def test_what_is_ended_here_ends_there(engine, sign_in):
    phone, laptop = sign_in(), sign_in()
    end_session(device(phone), "kicked")
    assert theirs() == {key(laptop)}
    assert [whoami(browser) for browser in (phone, laptop)] == [None, "ada"]
    assert DeviceSession.objects.get(end_reason="kicked")


def test_a_kick_ends_the_logins_from_before_authx_too(sign_in, ada):
    phone = sign_in()
    old = Client()
    old.force_login(ada)
    DeviceSession.objects.exclude(pk=device(phone).pk).delete()
    UserSession.objects.create(user=ada, session_key=key(old), ip="127.0.0.1", user_agent="x")
    end_user_sessions(ada, "kicked")
    assert theirs() == set()
    assert not Session.objects.filter(session_key=key(old)).exists()
    assert [whoami(browser) for browser in (phone, old)] == [None, None]


def test_the_device_that_goes_on_stays_in_both(sign_in, ada, password):
    phone, laptop = sign_in(), sign_in()
    answer = laptop.post("/account/confirm/", {"password": password})
    assert answer.status_code == 302
    laptop.post("/account/devices/end-others/")
    assert shown(ada) == {key(laptop)}
    assert [whoami(browser) for browser in (phone, laptop)] == [None, "ada"]


def test_a_step_up_by_token_leaves_the_browser_its_login_and_its_data(engine, sign_in, ada, password):
    """Asked by a script that holds the access token, and sends no cookie."""
    browser = sign_in()
    session = browser.session
    session["cart"] = ["shoes"]
    session.save()
    bearer = {"Authorization": f"Bearer {browser.cookies[conf.ACCESS_COOKIE].value}"}
    answer = Client().post(
        "/api/auth/reauthenticate/", {"password": password}, "application/json", headers=bearer
    )
    assert answer.status_code == 200, answer.content
    assert shown(ada) == {key(browser)}
    assert browser.session["cart"] == ["shoes"]


def test_a_login_that_comes_with_a_kick_is_not_ended_by_it(sign_in, ada):
    phone = sign_in()
    with transaction.atomic():
        end_user_sessions(ada, "kicked")
        laptop = sign_in()
    assert [whoami(browser) for browser in (phone, laptop)] == [None, "ada"]
    assert shown(ada) == {key(laptop)}


def test_the_device_that_changes_the_password_stays_with_its_data(sign_in, ada, password):
    phone, laptop = sign_in(), sign_in()
    session = laptop.session
    session["cart"] = ["shoes"]
    session.save()
    new = {"old_password": password, "new_password1": "another-staple-9", "new_password2": "another-staple-9"}
    answer = laptop.post("/password-change/", new)
    assert answer.status_code == 302, answer.content
    assert [whoami(browser) for browser in (phone, laptop)] == [None, "ada"]
    assert laptop.session["cart"] == ["shoes"]
    assert shown(ada) == {key(laptop)}


def test_a_deleted_user_is_in_neither(sign_in, ada):
    browser = sign_in()
    get_user_model().objects.all().delete()
    assert theirs() == set()
    assert whoami(browser) is None


def test_a_request_that_ends_its_own_is_answered(engine, sign_in, ada):
    browser = sign_in()
    assert browser.get("/end-own/").status_code == 200
    assert whoami(browser) is None
    assert shown(ada) == set()
