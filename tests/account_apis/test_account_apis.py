"""Their views end the session that called, or let it go on under the new password."""

import pytest
from django.db import connections
from django.test import Client
from rest_framework.test import APIClient

from authx.models import DeviceSession
from authx.sessions import open_session
from authx.sessions.liveness import recognize

pytestmark = pytest.mark.django_db

NEW = "another-horse-another-staple"
WHOAMI = "/api/whoami/"


@pytest.fixture
def here(ada):
    return open_session(ada)


@pytest.fixture
def elsewhere(ada):
    return open_session(ada)


@pytest.fixture
def app(here):
    """What holds the tokens."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {here.access_token}")
    return client


@pytest.fixture(params=[False, True], ids=["plain", "ATOMIC_REQUESTS"], autouse=True)
def atomic(request, monkeypatch):
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", request.param)
    return request.param


def djosers(password):
    return {"current_password": password, "new_password": NEW}


def dj_rest_auths(password):
    return {"old_password": password, "new_password1": NEW, "new_password2": NEW}


DOCUMENTED = [
    ("/documented/djoser/users/set_password/", djosers),
    ("/documented/password/change/", dj_rest_auths),
    ("/documented/own/", dj_rest_auths),
]
AS_THEY_ARE = [("/djoser/users/set_password/", djosers), ("/dj-rest-auth/password/change/", dj_rest_auths)]


def reason(credentials):
    return DeviceSession.objects.get(pk=credentials.session.pk).end_reason


@pytest.mark.parametrize("url", ["/djoser/token/logout/", "/dj-rest-auth/logout/"])
def test_their_logout_ends_the_session_that_called(app, here, elsewhere, url):
    assert app.post(url).status_code in {200, 204}
    assert (reason(here), reason(elsewhere)) == ("logout", "")
    assert app.get(WHOAMI).json()["reason"] == "logout"


@pytest.mark.parametrize("url", ["/djoser/token/logout/", "/dj-rest-auth/logout/"])
def test_their_logout_leaves_a_browser_alone(here, ada, bob, password, url):
    browser = Client()
    browser.post("/django-login/", {"username": bob.get_username(), "password": password})
    assert browser.post(url, headers={"Authorization": f"Bearer {here.access_token}"}).status_code in {
        200,
        204,
    }
    assert reason(here) == "logout"
    assert browser.get("/whoami/").json()["user"] == "bob"


@pytest.mark.parametrize(("url", "form"), DOCUMENTED)
def test_a_documented_view_answers_with_the_tokens_of_the_session_that_goes_on(
    app, here, elsewhere, ada, password, url, form
):
    response = app.post(url, form(password))
    assert response.status_code == 200, response.content
    assert (reason(here), reason(elsewhere)) == ("password_changed", "password_changed")
    new = recognize(response.json()["access_token"])
    assert DeviceSession.objects.get(pk=here.session.pk).successor == new.pk
    assert app.get(WHOAMI).json()["reason"] == "password_changed"
    app.credentials(HTTP_AUTHORIZATION=f"Bearer {response.json()['access_token']}")
    assert app.get(WHOAMI).json() == {"user": str(ada.pk), "sid": str(new.pk)}
    assert (
        app.post("/api/auth/refresh/", {"refresh_token": response.json()["refresh_token"]}).status_code == 200
    )


@pytest.mark.parametrize(("url", "form"), DOCUMENTED)
def test_a_documented_view_answers_a_forced_user_too(ada, password, url, form):
    client = APIClient()
    client.force_authenticate(ada)
    assert client.post(url, form(password)).status_code in {200, 204}
    assert not DeviceSession.objects.exists()


@pytest.mark.parametrize(("url", "form"), AS_THEY_ARE)
def test_a_view_as_it_is_ends_the_callers_session_and_leaves_none_that_nobody_has(
    app, here, elsewhere, password, url, form
):
    assert app.post(url, form(password)).status_code in {200, 204}
    assert (reason(here), reason(elsewhere)) == ("password_changed", "password_changed")
    assert not DeviceSession.objects.live().exists()


@pytest.mark.parametrize(("url", "form"), [*AS_THEY_ARE, *DOCUMENTED])
@pytest.mark.parametrize("by", ["cookie", "token beside the cookie"])
def test_a_browser_stays_signed_in(ada, password, url, form, by):
    browser = Client()
    browser.post("/django-login/", {"username": ada.get_username(), "password": password})
    session = DeviceSession.objects.get()
    token = browser.cookies["__Host-authx_access"].value
    headers = {} if by == "cookie" else {"Authorization": f"Bearer {token}"}
    assert browser.post(url, form(password), headers=headers).status_code in {200, 204}
    session.refresh_from_db()
    assert session.end_reason == "password_changed"
    assert browser.get("/whoami/").json() == {"user": "ada", "session": str(session.successor)}


@pytest.mark.parametrize(("url", "form"), [*AS_THEY_ARE, *DOCUMENTED])
def test_a_wrong_password_changes_nothing(app, here, url, form):
    assert app.post(url, form("wrong")).status_code == 400
    assert reason(here) == ""
    assert DeviceSession.objects.count() == 1


def test_djosers_logout_at_a_change_leaves_nothing(app, here, password, settings):
    settings.DJOSER = {**settings.DJOSER, "LOGOUT_ON_PASSWORD_CHANGE": True}
    assert app.post("/documented/djoser/users/set_password/", djosers(password)).status_code == 204
    assert reason(here) == "password_changed"
    assert not DeviceSession.objects.live().exists()


def test_whoever_deletes_the_own_account_is_signed_out(app, here, ada, password):
    assert app.delete("/djoser/users/me/", {"current_password": password}).status_code == 204
    assert reason(here) == "logout"
    assert app.get(WHOAMI).status_code == 401
