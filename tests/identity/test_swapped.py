"""authx.identity.swapped: a Django session that was put in place of the one a request came with."""

import pytest
from django.contrib.auth import user_logged_in
from django.db import connections
from django.test import Client

from authx.models import DeviceSession
from authx.pages import login_signals
from authx.sessions import end_session, open_session

pytestmark = pytest.mark.django_db

OURS = {"__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"}
NOBODY = {"user": None, "session": None}


@pytest.fixture(autouse=True)
def more_urls(settings):
    settings.ROOT_URLCONF = "tests.more_urls"


@pytest.fixture(params=["db", "cache", "cached_db"], autouse=True)
def engine(request, settings):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"


@pytest.fixture
def browser(ada, password):
    """A browser in which ada is signed in; what it sends along never counts."""
    client = Client(raise_request_exception=False)
    client.post("/django-login/", {"username": ada.get_username(), "password": password})
    client.get("/whoami/")
    return client


def app(client, path, key="", **headers):
    """Send a request whose session is swapped; its answer and the key of that session."""
    response = client.get(path, headers={"X-Session-Key": key, **headers})
    assert not OURS & set(response.cookies)
    assert "sessionid" not in response.cookies
    return response, response.get("X-Session-Key", "")


def is_(user, session):
    return {"user": user.get_username(), "session": str(session.pk)}


@pytest.mark.parametrize("key", ["", "0" * 32], ids=["new", "unknown"])
def test_nothing_that_a_browser_sends_along_counts(key, browser):
    assert app(browser, "/app/whoami/", key)[0].json() == NOBODY


@pytest.mark.django_db(transaction=True)  # that they came back is written after the commit
def test_the_key_of_a_browser_whose_cookies_came_back_is_no_credential(browser, ada):
    """It was none without them, and must not become one by being put in place of another session."""
    session = DeviceSession.objects.get()
    for _time in range(2):
        assert app(browser, "/app/whoami/", browser.session.session_key)[0].json() == NOBODY
        assert app(Client(), "/app/api/", browser.session.session_key)[0].status_code == 401
    assert browser.get("/whoami/").json() == is_(ada, session)


def test_a_login_in_it_decides_and_leaves_the_browser_alone(browser, ada, bob):
    before = DeviceSession.objects.get()
    said, key = app(browser, "/app/log-in/bob/")
    session = DeviceSession.objects.get(user=bob)
    assert said.json() == app(browser, "/app/whoami/", key)[0].json() == is_(bob, session)
    assert browser.get("/whoami/").json() == is_(ada, before)
    assert DeviceSession.objects.live().count() == 2


def test_a_second_login_in_it_replaces_the_first(browser, ada, bob):
    _said, key = app(browser, "/app/log-in/bob/")
    first = DeviceSession.objects.get(user=bob)
    said, _key = app(browser, "/app/log-in/bob/", key)
    assert said.json() == is_(bob, DeviceSession.objects.live().get(user=bob))
    first.refresh_from_db()
    assert first.end_reason == "superseded"
    assert DeviceSession.objects.live().filter(user=ada).exists()


def test_beside_a_bearer_token_it_decides_alone_too(browser, ada, bob):
    token = open_session(ada).access_token
    _said, key = app(browser, "/app/log-in/bob/")
    said, _key = app(browser, "/app/whoami/", key, Authorization=f"Bearer {token}")
    assert said.json() == is_(bob, DeviceSession.objects.get(user=bob))


def test_the_api_goes_by_it_too(browser, bob):
    _said, key = app(browser, "/app/log-in/bob/")
    session = DeviceSession.objects.get(user=bob)
    for _time in range(2):
        said, _key = app(browser, "/app/api/", key)
        assert said.json() == {"user": str(bob.pk), "sid": str(session.pk)}
    assert app(browser, "/app/api/")[0].status_code == 401


def test_once_ended_it_lets_nobody_in_and_is_never_adopted(browser, bob):
    _said, key = app(browser, "/app/log-in/bob/")
    end_session(DeviceSession.objects.get(user=bob), "kicked")
    for _time in range(2):
        assert app(browser, "/app/whoami/", key)[0].json() == NOBODY
    assert DeviceSession.objects.filter(user=bob).count() == 1


@pytest.mark.parametrize("engine", ["cache"], indirect=True)  # the others take the Django login back, too
def test_a_login_that_is_taken_back_binds_it_to_nothing(browser, bob):
    """A cache keeps the Django login, as without authx: it is adopted when the session comes back."""
    _said, key = app(browser, "/app/log-in/bob/?take-back")
    assert not DeviceSession.objects.filter(user=bob).exists()
    for _time in range(2):
        said, _key = app(browser, "/app/whoami/", key)
        assert said.json() == is_(bob, DeviceSession.objects.get(user=bob))


@pytest.mark.django_db(transaction=True)
def test_a_login_that_fails_with_its_request_leaves_nothing_behind(browser, bob, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    said, _key = app(browser, "/app/log-in-and-fail/bob/")
    assert said.status_code == 500
    assert not DeviceSession.objects.filter(user=bob).exists()


def test_a_login_older_than_authx_is_adopted_once(browser, bob):
    user_logged_in.disconnect(dispatch_uid="authx.pages.login")
    try:
        _said, key = app(browser, "/app/log-in/bob/")
    finally:
        login_signals.connect()
    for _time in range(2):
        said, _key = app(browser, "/app/whoami/", key)
        assert said.json() == is_(bob, DeviceSession.objects.get(user=bob))


def test_a_login_without_a_device_session_is_one_all_the_same(browser, bob, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    _said, key = app(browser, "/app/log-in/bob/")
    said, _key = app(browser, "/app/whoami/", key)
    assert said.json() == {"user": bob.get_username(), "session": None}


@pytest.fixture(params=["bound", "older than authx"])
def one_session(request, settings, ada):
    """A client of ada's that sends the key of its cookie's session as an app does; and asks for her early."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    if request.param != "bound":
        user_logged_in.disconnect(dispatch_uid="authx.pages.login")
    client = Client()
    try:
        client.force_login(ada)
    finally:
        login_signals.connect()
    client.defaults["HTTP_X_SESSION_KEY"] = client.session.session_key
    return client


def test_what_it_stores_is_kept_where_the_browser_brought_the_same_session(one_session, ada):
    """The other object of it, which is bound and saved behind the view, was read before."""
    for what in ("first", "second"):
        said = one_session.get(f"/app/keep/{what}/")
        assert said.json() == is_(ada, DeviceSession.objects.get())
        assert one_session.session["kept"] == what
    assert one_session.get("/whoami/").json() == is_(ada, DeviceSession.objects.get())


def test_a_logout_in_it_is_not_undone_where_the_browser_brought_the_same_session(one_session):
    key = one_session.session.session_key
    one_session.get("/app/log-out/")
    assert not one_session.session.exists(key)
    assert not DeviceSession.objects.live().exists()
