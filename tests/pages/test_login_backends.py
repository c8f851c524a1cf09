"""The backend of a login, at every door: it is kept with the session, and goes on deciding about the user."""

import pytest
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.models import Session
from django.db import models
from django.test import Client
from django.test.utils import isolate_apps

from authx.models import DeviceSession
from tests.identity.test_adoption import before_authx

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "django.contrib.auth.backends.ModelBackend"
ALL_USERS = "django.contrib.auth.backends.AllowAllUsersModelBackend"
BANNING = "tests.site.accepting.Banning"
ACCESS = "__Host-authx_access"
NOBODY = {"user": None, "session": None}


@pytest.fixture(autouse=True)
def site(settings):
    settings.ROOT_URLCONF = "tests.more_urls"
    settings.AUTHENTICATION_BACKENDS = ["authx.backends.LoginLimitBackend", BANNING, MODEL, ALL_USERS]


@pytest.fixture
def browser(client, ada):
    """Ada's, signed in by naming the site's backend in the call."""
    assert client.get(f"/log-in/{ada.get_username()}/", {"backend": BANNING}).status_code == 200
    assert client.get("/whoami/").json()["user"] == ada.get_username()
    return client


def update(user, **change):
    get_user_model()._base_manager.filter(pk=user.pk).update(**change)


def ban(user):
    update(user, email="ada@banned.example")


def reasons():
    return list(DeviceSession.objects.order_by("created_at").values_list("backend", "end_reason"))


def test_a_ban_signs_a_browser_out_at_its_next_page(browser, ada):
    ban(ada)
    assert browser.get("/whoami/").json() == NOBODY
    assert not [data for data in Session.objects.all() if SESSION_KEY in data.get_decoded()]
    assert reasons() == [(BANNING, "user_disabled")]
    ended = browser.get("/account/login/").content.decode()
    assert "You were signed out because your account was disabled." in ended


def test_and_where_the_page_renews_first(browser, ada):
    del browser.cookies[ACCESS]
    ban(ada)
    assert browser.get("/whoami/").json() == NOBODY
    assert reasons() == [(BANNING, "user_disabled")]


def test_and_at_the_api_by_cookie(browser, ada):
    ban(ada)
    answer = browser.get("/api/whoami/")
    assert (answer.status_code, answer.json()["reason"]) == (401, "user_disabled")


def test_a_login_by_the_api_keeps_the_backend_that_took_the_password(api, ada, password):
    typed = {"username": ada.get_username(), "password": password}
    tokens = api.post("/api/auth/login/", typed).json()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access_token']}")
    assert api.get("/api/whoami/").status_code == 200
    assert reasons() == [(BANNING, "")]
    ban(ada)
    refused = api.get("/api/whoami/")
    assert (refused.status_code, refused.json()["reason"]) == (401, "user_disabled")
    refused = api.post("/api/auth/refresh/", {"refresh_token": tokens["refresh_token"]})
    assert (refused.status_code, refused.json()["reason"]) == (401, "user_disabled")


def test_an_inactive_user_signs_in_where_a_backend_lets_them_and_stays(client, ada, password):
    update(ada, is_active=False)
    typed = {"username": ada.get_username(), "password": password}
    typed["transport"] = "cookie"
    assert client.post("/api/auth/login/", typed, "application/json").status_code == 200
    assert client.get("/whoami/").json()["user"] == ada.get_username()
    del client.cookies[ACCESS]
    assert client.get("/whoami/").json()["user"] == ada.get_username()
    assert reasons() == [(ALL_USERS, "")]


def test_our_login_page_leaves_inactive_users_to_the_backend(client, ada, password, settings):
    update(ada, is_active=False)
    typed = {"username": ada.get_username(), "password": password}
    assert client.post("/account/login/", typed).status_code == 302
    assert client.get("/whoami/").json()["user"] == ada.get_username()
    settings.AUTHENTICATION_BACKENDS = ["tests.site.accepting.TakesAnybody"]
    other = Client()
    refused = other.post("/account/login/", typed)
    assert "You cannot sign in with this account." in refused.content.decode()
    assert other.get("/whoami/").json() == NOBODY


def test_an_adopted_login_keeps_the_backend_of_the_django_session(client, ada):
    with before_authx():
        client.get(f"/log-in/{ada.get_username()}/", {"backend": BANNING})
    assert client.get("/whoami/").json()["user"] == ada.get_username()
    assert reasons() == [(BANNING, "")]
    ban(ada)
    assert client.get("/whoami/").json() == NOBODY
    assert reasons() == [(BANNING, "user_disabled")]


def test_the_session_after_an_own_password_change_keeps_the_backend(browser, ada):
    browser.post("/change-my-password/saved/")
    assert browser.get("/whoami/").json()["user"] == ada.get_username()
    assert reasons() == [(BANNING, "password_changed"), (BANNING, "")]


def test_a_banned_user_who_changes_the_password_is_signed_out(browser, ada):
    """The ban came while the view ran: no session follows."""
    browser.post("/change-my-password/and_banned/")
    assert browser.get("/whoami/").json() == NOBODY
    assert reasons() == [(BANNING, "password_changed")]


def test_a_backend_that_fails_is_an_outage_and_signs_nobody_out(browser, ada, settings):
    settings.AUTHENTICATION_BACKENDS = ["tests.site.accepting.Failing", MODEL]
    DeviceSession.objects.update(backend="tests.site.accepting.Failing")
    for path in ("/whoami/", "/api/whoami/"):
        answer = browser.get(path)
        assert (answer.status_code, "Retry-After" in answer) == (503, True)
    assert browser.get("/untouched/").status_code == 200
    DeviceSession.objects.update(backend=MODEL)
    assert browser.get("/whoami/").json()["user"] == ada.get_username()


def test_the_same_browser_may_sign_in_by_another_backend(browser, ada):
    ban(ada)
    assert browser.get("/whoami/").json() == NOBODY
    assert browser.get(f"/log-in/{ada.get_username()}/", {"backend": MODEL}).status_code == 200
    assert browser.get("/whoami/").json()["user"] == ada.get_username()
    assert Client().get("/whoami/").json() == NOBODY


def test_a_login_of_a_user_of_another_model_opens_no_session(client, ada):
    """As in tests that swap AUTH_USER_MODEL: a session names users of the model it was migrated with."""
    with isolate_apps():

        class Stranger(AbstractBaseUser):
            name = models.CharField(max_length=20, unique=True)
            USERNAME_FIELD = "name"

            class Meta:
                app_label = "strangers"

            def save(self, **kwargs):
                """Do nothing at Django's ``update_last_login``: there is no table."""

        client.force_login(Stranger(pk=ada.pk, name="stranger"), backend=MODEL)
    assert not DeviceSession.objects.exists()
    assert client.session[SESSION_KEY] == str(ada.pk)
