"""allauth's headless app views, which swap the Django session: it alone says who the request is."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import user_logged_in
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models import F
from django.test import Client

from authx.models import DeviceSession
from authx.pages import login_signals
from authx.sessions import end_session
from tests.faults_in_database import broken_database

pytestmark = pytest.mark.django_db

APP = "/_allauth/app/v1"
JSON = "application/json"
ACCESS, REFRESH, DEVICE = "__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"
OURS = {ACCESS, REFRESH, DEVICE}
BOUND_KEY = "_authx_session"
NEW = "mallory@example.com"


@pytest.fixture(params=["in no transaction", "in transactions"], autouse=True)
def transactions(request, monkeypatch):
    is_atomic = request.param == "in transactions"
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", is_atomic)


class App:
    """A client of the app views; ``client`` may be a browser's, whose cookies then go along."""

    def __init__(self, client=None):
        self.client, self.token = client or Client(), None

    def send(self, method, path, data=""):
        headers = {"X-Session-Token": self.token} if self.token else {}
        response = getattr(self.client, method)(f"{APP}{path}", data, JSON, headers=headers)
        self.token = response.json().get("meta", {}).get("session_token") or self.token
        return response

    def log_in(self, user, password):
        response = self.send("post", "/auth/login", {"username": user.get_username(), "password": password})
        assert response.status_code == 200, response.content
        return response

    def whoami(self):
        said = self.send("get", "/auth/session").json()
        return said["data"]["user"]["email"] if said["status"] == 200 else said["status"]

    @property
    def session(self):
        return SessionStore(self.token)


@pytest.fixture
def browser(ada, password):
    client = Client()
    client.post("/account/login/", {"username": ada.get_username(), "password": password})
    assert client.get("/whoami/").json()["user"] == ada.get_username()
    return client


@pytest.fixture
def app(ada, password):
    app = App()
    app.log_in(ada, password)
    return app


def only_live(user):
    return DeviceSession.objects.live().get(user=user)


def test_cookies_alone_are_no_credential(browser):
    """As a form of another site could send it; allauth's answer is the same without authx."""
    browser.handler.enforce_csrf_checks = True
    response = browser.post(f"{APP}/account/email", f'{{"email": "{NEW}"}}', "text/plain")
    assert response.status_code == 409
    assert not EmailAddress.objects.filter(email=NEW).exists()


def test_a_session_token_counts_beside_the_cookies_of_somebody_else(browser, ada, bob, password):
    app = App(browser)
    before = only_live(ada)
    response = app.log_in(bob, password)
    assert not OURS & set(response.cookies)
    assert app.whoami() == bob.email
    assert app.send("post", "/account/email", {"email": NEW}).status_code == 200
    assert EmailAddress.objects.get(email=NEW).user == bob
    assert only_live(ada) == before
    assert browser.get("/whoami/").json() == {"user": ada.get_username(), "session": str(before.pk)}


def test_a_login_by_the_same_user_replaces_nothing_and_shares_no_device(browser, ada, password):
    app = App(browser)
    app.log_in(ada, password)
    first, second = DeviceSession.objects.live().filter(user=ada).order_by("pk")
    assert first.device_id != second.device_id
    assert DeviceSession.objects.count() == 2


def test_one_login_is_one_row_which_it_is_bound_to(app, ada):
    session = only_live(ada)
    assert app.session[BOUND_KEY] == str(session.pk)
    assert session.amr == ["pwd"]
    for _time in range(2):
        assert app.whoami() == ada.email
    assert DeviceSession.objects.get() == session


@pytest.mark.django_db(transaction=True)  # written after the commit
def test_it_stays_signed_in_after_ten_minutes_and_its_idle_limit_is_about_use(app, ada):
    past = {name: F(name) - timedelta(minutes=11) for name in ("created_at", "last_seen_at")}
    DeviceSession.objects.update(**past)
    before = only_live(ada)
    DeviceSession.objects.update(idle_expires_at=F("idle_expires_at") - timedelta(days=1))
    assert app.whoami() == ada.email
    after = only_live(ada)
    assert after.idle_expires_at >= before.idle_expires_at
    assert after.last_seen_at > before.last_seen_at


@pytest.mark.parametrize("reason", ["kicked", "ended_by_user", "replaced"])
def test_a_kicked_app_does_not_come_back(reason, app, ada):
    end_session(only_live(ada), reason)
    assert app.whoami() in {401, 410}
    assert app.whoami() in {401, 410}
    assert not DeviceSession.objects.live().exists()
    assert DeviceSession.objects.count() == 1


def test_signing_out_ends_that_session_and_no_other(browser, ada, bob, password):
    app = App(browser)
    app.log_in(bob, password)
    response = app.send("delete", "/auth/session")
    assert response.status_code == 401  # allauth's answer to a sign-out
    assert not OURS & set(response.cookies)
    assert DeviceSession.objects.get(user=bob).end_reason == "logout"
    assert browser.get("/whoami/").json()["user"] == ada.get_username()


def test_its_own_password_change_keeps_it(app, browser, ada, password):
    before = DeviceSession.objects.get(pk=app.session[BOUND_KEY])
    typed = {"current_password": password, "new_password": "another-horse-9"}
    assert app.send("post", "/account/password/change", typed).status_code == 200
    before.refresh_from_db()
    assert before.end_reason == "password_changed"
    assert app.whoami() == ada.email
    after = only_live(ada)  # the browser's has ended
    assert app.session[BOUND_KEY] == str(after.pk) == str(before.successor)
    assert browser.get("/whoami/").json()["user"] is None


def test_a_password_changed_elsewhere_ends_it(app, ada):
    ada.set_password("another-horse-9")
    ada.save()
    assert app.whoami() in {401, 410}


def test_an_app_older_than_authx_is_adopted_once(ada, password):
    app = App()
    user_logged_in.disconnect(dispatch_uid="authx.pages.login")
    try:
        app.log_in(ada, password)
    finally:
        login_signals.connect()
    assert not DeviceSession.objects.exists()
    for _time in range(2):
        assert app.whoami() == ada.email
    session = DeviceSession.objects.get()
    assert app.session[BOUND_KEY] == str(session.pk)
    end_session(session, "kicked")
    assert app.whoami() in {401, 410}
    assert DeviceSession.objects.count() == 1


# The site's own API, by allauth's class for DRF as ours continues it


def own_api(app, **headers):
    return app.client.post("/own-api/", headers={"X-Session-Token": app.token or "", **headers})


def test_the_sites_own_api_takes_its_token_and_no_cookies(browser, app, ada, bob, password):
    beside = App(browser)
    beside.log_in(bob, password)
    for _time in range(2):
        assert own_api(app).json() == {"user": ada.get_username()}
        assert own_api(beside).json() == {"user": bob.get_username()}
    for token in ("", "0" * 32):
        beside.token = token
        assert own_api(beside).status_code == 403


@pytest.mark.parametrize("reason", ["kicked", "ended_by_user"])
def test_the_sites_own_api_refuses_it_once_its_device_session_has_ended(reason, app, ada):
    assert own_api(app).status_code == 200
    end_session(DeviceSession.objects.get(), reason)
    refused = own_api(app)
    assert refused.status_code == 401
    assert (refused.json()["code"], refused.json()["reason"]) == ("session_ended", reason)
    assert own_api(app).status_code in {401, 403}
    assert DeviceSession.objects.count() == 1


def test_the_sites_own_api_adopts_a_login_older_than_authx_once(ada, password):
    user_logged_in.disconnect(dispatch_uid="authx.pages.login")
    try:
        app = App()
        app.log_in(ada, password)
    finally:
        login_signals.connect()
    for _time in range(2):
        assert own_api(app).json() == {"user": ada.get_username()}
    assert DeviceSession.objects.count() == 1
    assert app.session[BOUND_KEY] == str(DeviceSession.objects.get().pk)


@pytest.mark.django_db(transaction=True)  # that its cookies came back is written after the commit
def test_the_sites_own_api_takes_no_browsers_session(browser):
    app = App()
    app.token = browser.session.session_key
    assert own_api(app).status_code == 403


def test_an_outage_is_one_at_the_sites_own_api(app):
    with broken_database("authx_"):
        assert own_api(app).status_code == 503
    assert own_api(app).status_code == 200


def test_it_says_what_it_needs(settings, app):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("authx.")]
    without = App()
    without.token = app.token
    with pytest.raises(ImproperlyConfigured, match="DeviceSessionMiddleware"):
        own_api(without)
