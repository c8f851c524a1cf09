"""authx.pages.login_signals: every Django login opens a device session, and every Django logout ends it."""

from contextlib import contextmanager
from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as site
from django.contrib.auth import SESSION_KEY, get_user_model, user_logged_in, user_logged_out
from django.contrib.auth import login as log_in
from django.contrib.auth.hashers import MD5PasswordHasher, PBKDF2PasswordHasher, make_password
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django.db.models import F
from django.http import HttpRequest
from django.test import AsyncClient, Client, RequestFactory

from authx import signals
from authx.models import DeviceSession
from authx.pages import login_signals
from authx.sessions import end_session, open_session, refresh_session

pytestmark = pytest.mark.django_db
# The use of a token is written down, and an opening announced, after the commit.
committing = pytest.mark.django_db(transaction=True)

ACCESS, REFRESH, DEVICE = "__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"
OURS = {ACCESS, REFRESH, DEVICE}
NOBODY = {"user": None, "session": None}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
REMOTE_USER = "django.contrib.auth.backends.RemoteUserBackend"


@pytest.fixture(autouse=True)
def more_urls(settings):
    settings.ROOT_URLCONF = "tests.more_urls"


class Browser(Client):
    """Loses, as a browser does, the cookies that a response takes back."""

    def request(self, **request):
        response = super().request(**request)
        for name in [name for name, cookie in self.cookies.items() if cookie["max-age"] == 0]:
            del self.cookies[name]
        return response

    def lose(self, *names):
        for name in names:
            self.cookies.pop(name, None)

    def whoami(self):
        response = self.get("/whoami/")
        assert response.status_code == 200, response
        return response.json()

    @property
    def django_session(self):
        """What Django keeps for this browser: a dict, empty without a session."""
        return dict(self.session.items()) if site.SESSION_COOKIE_NAME in self.cookies else {}


@pytest.fixture
def browser():
    return Browser()


def form_login(browser, user, password, path="/django-login/"):
    response = browser.post(path, {"username": user.get_username(), "password": password})
    assert response.status_code == 302, response.content
    return response


def admin_login(browser, user, password):
    return form_login(browser, user, password, "/admin/login/")


def page_login(browser, user, password):
    return form_login(browser, user, password, "/account/login/")


def code_login(browser, user, password):
    return browser.get(f"/log-in/{user.get_username()}/")


def async_code_login(browser, user, password):
    return browser.get(f"/async-log-in/{user.get_username()}/")


def drf_login(browser, user, password):
    return browser.post(f"/api/log-in/{user.get_username()}/")


def forced_login(browser, user, password):
    browser.force_login(user)
    return browser.get("/whoami/")


LOGINS = [form_login, admin_login, page_login, code_login, async_code_login, drf_login, forced_login]
any_login = pytest.mark.parametrize("login", LOGINS)
any_login_by_request = pytest.mark.parametrize("login", [each for each in LOGINS if each is not forced_login])


def live():
    return list(DeviceSession.objects.live().order_by("created_at"))


def only_live():
    (session,) = live()
    return session


def reason_of(session):
    return DeviceSession.objects.get(pk=session.pk).end_reason


def pass_time(session, **duration):
    """The last rotation was so much longer ago."""
    DeviceSession.objects.filter(pk=session.pk).update(rotated_at=F("rotated_at") - timedelta(**duration))


def is_(user, session):
    return {"user": user.get_username(), "session": str(session.pk)}


# Logging in


@any_login
def test_every_django_login_opens_a_session_and_sets_its_cookies(login, browser, admin, password):
    response = login(browser, admin, password)
    session = only_live()
    assert session.user == admin
    assert set(response.cookies) >= OURS
    assert {"private", "no-store"} <= set(response["Cache-Control"].split(", "))
    assert "Cookie" in response["Vary"]
    assert browser.django_session["_authx_session"] == str(session.pk)
    assert browser.whoami() == is_(admin, session)


@committing
@any_login
def test_the_session_is_told_of_and_knows_where_it_came_from(login, admin, password):
    browser = Browser(headers={"User-Agent": FIREFOX})
    told = []

    def note(session, user, request, **kwargs):
        told.append((session.pk, user))

    signals.device_session_opened.connect(note)
    try:
        login(browser, admin, password)
    finally:
        signals.device_session_opened.disconnect(note)
    session = only_live()
    assert told == [(session.pk, admin)]
    assert session.device_id
    if login is not forced_login:  # its request came from nowhere
        assert (session.device_type, session.ip) == ("web", "127.0.0.1")


def test_a_login_by_alogin_under_asgi(ada):
    async def log_in():
        client = AsyncClient()
        first = await client.get(f"/async-log-in/{ada.get_username()}/")
        return first, await client.get("/async-whoami/")

    first, second = async_to_sync(log_in)()
    assert set(first.cookies) >= OURS
    assert first.json() == second.json() == is_(ada, only_live())


@pytest.mark.parametrize("login", [form_login, admin_login, page_login])
def test_a_login_by_password_says_so(login, browser, admin, password):
    login(browser, admin, password)
    assert only_live().amr == ["pwd"]


@pytest.mark.parametrize("login", [code_login, async_code_login, drf_login])
def test_a_login_from_code_says_nothing_of_a_password(login, browser, admin, password):
    login(browser, admin, password)
    assert only_live().amr == []


def test_a_header_login_says_nothing_of_a_password(browser, ada, settings):
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, REMOTE_USER]
    browser.get(f"/log-in/{ada.get_username()}/", {"backend": REMOTE_USER})
    assert only_live().amr == []


def test_the_second_login_in_one_request_replaces_the_first(browser, ada, bob):
    response = browser.get(f"/log-in-twice/{ada.get_username()}/{bob.get_username()}/")
    first, second = DeviceSession.objects.order_by("created_at")
    assert (first.user, first.end_reason) == (ada, "superseded")
    assert (second.user, second.ended_at) == (bob, None)
    assert response.json() == browser.whoami() == is_(bob, second)
    assert [response.cookies[REFRESH].value] == [browser.cookies[REFRESH].value]


def test_the_same_user_twice_in_one_request_has_one_session(browser, ada):
    browser.get(f"/log-in-twice/{ada.get_username()}/{ada.get_username()}/")
    assert browser.whoami() == is_(ada, only_live())
    assert DeviceSession.objects.count() == 2


@any_login_by_request
def test_a_login_over_an_older_session_supersedes_it(login, browser, admin, ada, password):
    page_login(browser, ada, password)
    older = only_live()
    login(browser, admin, password)
    assert reason_of(older) == "superseded"
    assert browser.whoami() == is_(admin, only_live())


def test_a_login_over_cookies_that_no_django_session_knows_supersedes_theirs(browser, ada, bob, password):
    older = open_session(ada)
    browser.cookies = SimpleCookie({REFRESH: older.refresh_token})
    page_login(browser, bob, password)
    assert reason_of(older.session) == "superseded"


def test_a_login_over_an_expired_access_cookie_supersedes_its_session(browser, ada, bob, password):
    older = open_session(ada)
    pass_time(older.session, hours=1)
    browser.cookies = SimpleCookie({REFRESH: older.refresh_token})
    page_login(browser, bob, password)
    assert reason_of(older.session) == "superseded"
    assert browser.whoami() == is_(bob, only_live())


def test_a_login_over_a_django_session_alone_supersedes_what_it_is_bound_to(browser, ada, password):
    page_login(browser, ada, password)
    older = only_live()
    browser.lose(ACCESS, REFRESH, DEVICE)
    page_login(browser, ada, password)
    assert reason_of(older) == "superseded"


@any_login_by_request
def test_a_login_over_the_same_users_django_session_leaves_its_key_behind(login, browser, admin, password):
    page_login(browser, admin, password)
    browser.get("/basket/")
    copied = browser.cookies["sessionid"].value
    browser.lose(ACCESS, REFRESH)
    login(browser, admin, password)
    thief = Browser()
    thief.cookies["sessionid"] = copied
    response = thief.get("/whoami/")
    assert response.json() == NOBODY
    assert not OURS & set(response.cookies)
    assert browser.whoami() == is_(admin, only_live())
    assert browser.get("/basket/").json() == {"basket": "full"}


def test_a_login_over_an_ended_session_leaves_its_reason(browser, ada, password):
    page_login(browser, ada, password)
    older = only_live()
    end_session(older, "kicked")
    page_login(browser, ada, password)
    assert reason_of(older) == "kicked"
    assert browser.whoami() == is_(ada, only_live())


def test_another_users_login_elsewhere_ends_nothing(ada, bob, password):
    first, second = Browser(), Browser()
    page_login(first, ada, password)
    page_login(second, bob, password)
    assert len(live()) == 2


def test_a_hasher_upgrade_at_login_ends_nobody(ada, password, settings, monkeypatch):
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 1)
    old = make_password(password, hasher="md5")
    get_user_model()._default_manager.filter(pk=ada.pk).update(password=old)
    ada.refresh_from_db()
    phone = open_session(ada)
    browser = Browser()
    page_login(browser, ada, password)
    ada.refresh_from_db()
    assert ada.password.startswith("pbkdf2_sha256$1$")
    assert not ada.password.startswith(f"{MD5PasswordHasher.algorithm}$")  # a salt may hold those letters
    assert len(live()) == 2
    assert refresh_session(phone.refresh_token)
    assert browser.whoami()["user"] == ada.get_username()


# The Django session is a credential only until the first of our cookies has come back


def test_before_our_cookies_came_back_the_django_session_lets_in_and_delivers_them(browser, ada, password):
    page_login(browser, ada, password)
    session = only_live()
    for _time in range(2):
        browser.lose(ACCESS, REFRESH)
        response = browser.get("/whoami/")
        assert response.json() == is_(ada, session)
        assert {ACCESS, REFRESH, DEVICE} <= set(response.cookies)
    assert browser.whoami() == is_(ada, session)


@committing
@pytest.mark.parametrize("lost", [ACCESS, REFRESH])
def test_after_one_of_our_cookies_came_back_the_django_session_alone_lets_nobody_in(
    lost, browser, ada, password
):
    page_login(browser, ada, password)
    browser.lose(lost)
    assert browser.whoami()["user"] == ada.get_username()
    assert only_live().confirmed_generation == 1
    browser.lose(ACCESS, REFRESH)
    response = browser.get("/whoami/")
    assert response.json() == NOBODY
    assert not {ACCESS, REFRESH} & set(response.cookies)


@pytest.mark.parametrize("garbage", [{ACCESS: "x"}, {REFRESH: "x"}, {ACCESS: "x", REFRESH: "y"}], ids=str)
def test_a_django_session_never_rescues_a_refused_cookie(garbage, browser, ada, password):
    page_login(browser, ada, password)
    browser.lose(ACCESS, REFRESH)
    for name, value in garbage.items():
        browser.cookies[name] = value
    assert browser.whoami() == NOBODY


@committing
def test_a_copied_django_session_is_no_way_around_an_expired_session(browser, ada, password):
    page_login(browser, ada, password)
    copied = browser.cookies["sessionid"].value
    browser.whoami()
    thief = Browser()
    thief.cookies["sessionid"] = copied
    assert thief.whoami() == NOBODY
    assert browser.whoami()["user"] == ada.get_username()


# An ended device session flushes the Django session bound to it


@pytest.mark.parametrize(
    "left", [{ACCESS, REFRESH}, {ACCESS}, {REFRESH}, set()], ids=lambda left: str(len(left))
)
@pytest.mark.parametrize("came_back", [True, False])
def test_an_ended_session_flushes_its_django_session_at_the_next_request(
    left, came_back, browser, ada, password
):
    page_login(browser, ada, password)
    if came_back:
        browser.whoami()
    browser.get("/basket/")
    end_session(only_live(), "kicked")
    browser.lose(*{ACCESS, REFRESH} - left)
    assert browser.whoami() == NOBODY
    assert not Session.objects.exists()
    assert browser.get("/basket/").json() == {"basket": None}


@pytest.mark.parametrize("column", ["idle_expires_at", "expires_at"])
def test_an_expired_session_flushes_it_too(column, browser, ada, password):
    page_login(browser, ada, password)
    browser.whoami()
    DeviceSession.objects.update(**{column: F("created_at")})
    assert browser.whoami() == NOBODY
    assert not Session.objects.exists()


def test_an_older_sessions_end_flushes_no_newer_django_session(browser, ada, password):
    older = open_session(ada)
    page_login(browser, ada, password)
    browser.get("/basket/")
    newer = {name: browser.cookies[name].value for name in (ACCESS, REFRESH)}
    end_session(older.session, "kicked")
    browser.cookies[ACCESS], browser.cookies[REFRESH] = older.access_token, older.refresh_token
    assert browser.whoami() == NOBODY

    # The response that set the newer cookies has arrived by now.
    for name, value in newer.items():
        browser.cookies[name] = value
    assert browser.whoami() == is_(ada, only_live())
    assert browser.get("/basket/").json() == {"basket": "full"}


def test_a_page_that_never_asks_flushes_nothing_and_lets_nobody_in(browser, ada, password):
    page_login(browser, ada, password)
    end_session(only_live(), "kicked")
    assert browser.get("/untouched/").status_code == 200
    assert browser.whoami() == NOBODY


def test_kicked_out_of_the_admin(browser, admin, password):
    admin_login(browser, admin, password)
    assert browser.get("/admin/").status_code == 200
    end_session(only_live(), "kicked")
    response = browser.get("/admin/")
    assert (response.status_code, response["Location"]) == (302, "/admin/login/?next=/admin/")


def test_a_visitors_own_django_session_outlives_nobodys_login(browser):
    browser.get("/basket/")
    assert browser.whoami() == NOBODY
    assert browser.get("/basket/").json() == {"basket": "full"}


# Never two logins side by side


def test_another_users_django_session_is_flushed(browser, ada, bob, password):
    adas = open_session(ada)
    page_login(browser, bob, password)
    browser.get("/basket/")
    browser.cookies[ACCESS] = adas.access_token
    browser.lose(REFRESH)
    assert browser.whoami() == is_(ada, adas.session)
    assert browser.get("/basket/").json() == {"basket": None}
    assert all(data.get_decoded().get(SESSION_KEY) != str(bob.pk) for data in Session.objects.all())


def test_another_users_django_session_of_before_authx_is_flushed_not_bound(browser, ada, bob):
    with before_authx():
        browser.force_login(bob)
    browser.get("/basket/")
    adas = open_session(ada)
    browser.cookies[ACCESS] = adas.access_token
    assert browser.whoami() == is_(ada, adas.session)
    assert browser.get("/basket/").json() == {"basket": None}
    browser.lose(ACCESS)
    assert browser.whoami() == NOBODY


def test_a_django_session_bound_to_another_session_of_the_same_user_is_flushed(browser, ada, password):
    page_login(browser, ada, password)
    browser.get("/basket/")
    second = open_session(ada)
    browser.cookies[ACCESS] = second.access_token
    browser.lose(REFRESH)
    assert browser.whoami() == is_(ada, second.session)
    assert browser.get("/basket/").json() == {"basket": None}


def test_a_django_session_of_the_same_user_that_is_bound_to_nothing_is_bound(browser, ada):
    with before_authx():
        browser.force_login(ada)
    credentials = open_session(ada)
    browser.cookies[ACCESS] = credentials.access_token
    assert browser.whoami() == is_(ada, credentials.session)
    assert browser.django_session["_authx_session"] == str(credentials.session.pk)


@contextmanager
def before_authx():
    """Django logs in as it did before authx was installed."""
    user_logged_in.disconnect(dispatch_uid="authx.pages.login")
    try:
        yield
    finally:
        login_signals.connect()


# Logging out


LOGOUTS = ["/django-logout/", "/admin/logout/", "/account/logout/"]
any_logout = pytest.mark.parametrize("path", LOGOUTS)


@any_logout
def test_every_django_logout_ends_the_session(path, browser, admin, password):
    page_login(browser, admin, password)
    session = only_live()
    response = browser.post(path)
    assert response.status_code in {200, 302}
    assert reason_of(session) == "logout"
    assert not {ACCESS, REFRESH} & set(browser.cookies)
    assert not Session.objects.exists()
    assert browser.whoami() == NOBODY


@any_logout
def test_cookies_are_taken_back_with_the_attributes_they_were_set_with(path, browser, admin, password):
    page_login(browser, admin, password)
    response = browser.post(path)
    for name in (ACCESS, REFRESH):
        cookie = response.cookies[name]
        assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", 0, "/")
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
    assert DEVICE not in response.cookies
    assert {"private", "no-store"} <= set(response["Cache-Control"].split(", "))


@any_logout
def test_a_logout_with_nothing_left_but_the_refresh_cookie(path, browser, admin, password):
    page_login(browser, admin, password)
    session = only_live()
    browser.lose(ACCESS)
    pass_time(session, hours=1)
    browser.post(path)
    assert reason_of(session) == "logout"
    assert browser.whoami() == NOBODY


@any_logout
def test_a_stale_tab_that_logs_out_is_no_thief(path, browser, admin, password):
    page_login(browser, admin, password)
    session = only_live()
    stale = {name: cookie.value for name, cookie in browser.cookies.items()}
    del stale[ACCESS]
    for _hour in range(2):
        pass_time(session, hours=1)
        browser.lose(ACCESS)
        browser.whoami()
        browser.whoami()
    assert DeviceSession.objects.get().generation == 3

    tab = Browser()
    tab.cookies = SimpleCookie(stale)
    response = tab.post(path)
    assert response.status_code in {200, 302}
    assert reason_of(session) == "logout"
    assert not {ACCESS, REFRESH} & set(tab.cookies)


@any_logout
def test_logging_out_once_more_changes_nothing(path, browser, admin, password):
    page_login(browser, admin, password)
    session = only_live()
    end_session(session, "kicked")
    assert browser.post(path).status_code in {200, 302}
    assert reason_of(session) == "kicked"
    assert browser.whoami() == NOBODY


def test_a_logout_ends_no_other_session(browser, ada, password):
    phone = open_session(ada)
    page_login(browser, ada, password)
    browser.post("/account/logout/")
    assert only_live() == phone.session


def test_a_login_after_a_logout_is_a_new_session(browser, ada, password):
    page_login(browser, ada, password)
    browser.post("/account/logout/")
    page_login(browser, ada, password)
    assert DeviceSession.objects.count() == 2
    assert browser.whoami() == is_(ada, only_live())


# Logins that open no device session


def never(request, user):
    return False


def only_staff(request, user):
    """Whoever is logged in by staff is impersonated."""
    return user.is_staff


ONLY_STAFF = f"{__name__}.only_staff"


@any_login
@pytest.mark.parametrize("bind", [False, f"{__name__}.never"])
def test_a_site_may_open_none(bind, login, browser, admin, password, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = bind
    response = login(browser, admin, password)
    assert not OURS & set(response.cookies)
    assert browser.whoami() == {"user": admin.get_username(), "session": None}
    assert not DeviceSession.objects.exists()


def dead_cookies(ada):
    credentials = open_session(ada)
    end_session(credentials.session, "kicked")
    return {ACCESS: credentials.access_token, REFRESH: credentials.refresh_token}


def garbage_cookies(ada):
    return {ACCESS: "garbage", REFRESH: "garbage"}


@pytest.mark.parametrize("cookies", [dead_cookies, garbage_cookies])
@any_login_by_request
def test_a_bad_cookie_does_not_stop_such_a_login(login, cookies, browser, ada, admin, password, settings):
    browser.cookies = SimpleCookie(cookies(ada))
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    login(browser, admin, password)
    assert browser.whoami() == {"user": admin.get_username(), "session": None}


def test_such_a_login_ends_with_its_logout(browser, ada, password, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    form_login(browser, ada, password)
    browser.post("/django-logout/")
    assert browser.whoami() == NOBODY


@pytest.fixture
def impersonating(browser, admin, bob, password, settings):
    """The administrator's browser while she looks at the site as bob; her session."""
    settings.AUTHX_BIND_DJANGO_LOGIN = ONLY_STAFF
    page_login(browser, admin, password)
    browser.whoami()
    session = only_live()
    response = browser.get(f"/impersonate/{bob.get_username()}/")
    assert response.json() == is_(bob, session)
    return session


def test_an_impersonation_by_a_view_that_never_asked_is_tied_too(browser, admin, bob, password, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = ONLY_STAFF
    page_login(browser, admin, password)
    session = only_live()
    assert browser.get(f"/log-in/{bob.get_username()}/").json() == is_(bob, session)
    assert browser.whoami() == is_(bob, session)


def test_an_impersonation_is_djangos_user_on_the_session_beneath(impersonating, browser, bob):
    assert browser.whoami() == is_(bob, impersonating)
    assert browser.get("/async-whoami/").json() == is_(bob, impersonating)
    assert only_live() == impersonating


def test_an_impersonation_is_renewed_with_the_session_beneath(impersonating, browser, bob):
    pass_time(impersonating, hours=1)
    browser.lose(ACCESS)
    response = browser.get("/whoami/")
    assert response.json() == is_(bob, impersonating)
    assert {ACCESS, REFRESH} <= set(response.cookies)


def test_an_impersonation_ends_with_the_session_beneath(impersonating, browser):
    end_session(impersonating, "kicked")
    assert browser.whoami() == NOBODY
    assert not Session.objects.exists()


def test_an_impersonation_is_no_credential_without_the_session_beneath(impersonating, browser):
    browser.lose(ACCESS, REFRESH)
    assert browser.whoami() == NOBODY


def test_an_impersonation_is_none_on_another_session(impersonating, browser, ada):
    adas = open_session(ada)
    browser.cookies[ACCESS] = adas.access_token
    browser.lose(REFRESH)
    assert browser.whoami() == is_(ada, adas.session)


def test_logging_out_of_an_impersonation_ends_the_session_beneath(impersonating, browser):
    browser.post("/django-logout/")
    assert reason_of(impersonating) == "logout"
    assert browser.whoami() == NOBODY


# If opening fails, nobody is logged in


def test_a_user_who_cannot_have_a_session_is_not_logged_in(browser, ada):
    get_user_model()._default_manager.filter(pk=ada.pk).update(is_active=False)
    response = browser.get(f"/log-in/{ada.get_username()}/", {"backend": MODEL_BACKEND})
    assert response.status_code == 403
    assert "You cannot sign in with this account." in response.content.decode()
    assert_nobody_was_logged_in(browser, response)


def assert_nobody_was_logged_in(browser, response):
    assert not {ACCESS, REFRESH} & set(response.cookies)
    assert not [data for data in Session.objects.all() if SESSION_KEY in data.get_decoded()]
    assert browser.whoami() == NOBODY


def test_a_login_beyond_the_limit_is_refused_and_says_so(browser, ada, password, settings):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["web", "other"], "limit": 1, "when_full": "refuse"}]
    phone = open_session(ada)
    response = browser.post("/account/login/", {"username": ada.get_username(), "password": password})
    assert response.status_code == 200
    assert "You are signed in on as many devices as allowed." in response.content.decode()
    assert_nobody_was_logged_in(browser, response)
    assert only_live() == phone.session


@pytest.mark.parametrize("path", ["/django-login/", "/admin/login/"])
def test_a_login_beyond_the_limit_by_another_door_is_a_page_that_says_so(
    path, browser, admin, password, settings
):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["web", "other"], "limit": 1, "when_full": "refuse"}]
    open_session(admin)
    response = browser.post(path, {"username": admin.get_username(), "password": password})
    assert response.status_code == 409
    assert "You are signed in on as many devices as allowed." in response.content.decode()
    assert_nobody_was_logged_in(browser, response)


def test_a_refused_login_leaves_the_session_before_it(browser, ada, bob, password, settings):
    page_login(browser, ada, password)
    session = only_live()
    settings.AUTHX_SESSION_LIMITS = [{"types": ["web", "other"], "limit": 1, "when_full": "refuse"}]
    open_session(bob)
    browser.post("/account/login/", {"username": bob.get_username(), "password": password})
    assert DeviceSession.objects.get(pk=session.pk).ended_at is None


def test_a_login_that_the_view_took_back_sets_no_cookies(browser, ada, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"  # which no rollback undoes
    response = browser.get(f"/log-in-and-take-it-back/{ada.get_username()}/")
    assert response.content == b"taken back"
    assert not OURS & set(response.cookies)
    assert not DeviceSession.objects.exists()

    # Django's own login has stayed, and opens another.
    assert browser.whoami() == is_(ada, only_live())


def test_a_login_whose_session_ended_in_the_same_request_lets_nobody_in(browser, ada):
    response = browser.get(f"/log-in-and-end/{ada.get_username()}/")
    assert_nobody_was_logged_in(browser, response)
    assert DeviceSession.objects.get().end_reason == "kicked"


@contextmanager
def sessions_cannot_be_written():
    """Our tables fail, Django's do not."""

    def fail(execute, sql, params, many, context):
        if "authx_" in sql and not sql.startswith("SELECT"):
            raise OperationalError("server has gone away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        yield


@pytest.mark.parametrize("path", ["/django-login/", "/admin/login/", "/account/login/"])
def test_a_login_that_cannot_be_kept_is_unavailable(path, browser, admin, password):
    with sessions_cannot_be_written():
        response = browser.post(path, {"username": admin.get_username(), "password": password})
    assert response.status_code == 503
    assert response["Retry-After"]
    assert_nobody_was_logged_in(browser, response)
    assert not DeviceSession.objects.exists()


def test_a_login_by_code_that_cannot_be_kept_is_unavailable(browser, ada):
    for path in ("log-in", "async-log-in"):
        with sessions_cannot_be_written():
            response = browser.get(f"/{path}/{ada.get_username()}/")
        assert response.status_code == 503
        assert_nobody_was_logged_in(browser, response)


# The device that changes its own password stays


@pytest.fixture
def changed(browser, ada, password):
    """Ada changes her password in this browser; the response."""
    page_login(browser, ada, password)
    browser.whoami()
    return change_password(browser, password)


def change_password(browser, old, new="a-new-horse-battery-staple"):
    typed = {"old_password": old, "new_password1": new, "new_password2": new}
    response = browser.post("/password-change/", typed)
    assert response.status_code == 302, response.content
    return response


def test_the_device_that_changed_its_password_has_a_new_session_at_once(changed, browser, ada):
    before, after = DeviceSession.objects.order_by("created_at")
    assert before.end_reason == "password_changed"
    assert after.ended_at is None
    assert {ACCESS, REFRESH} <= set(changed.cookies)
    assert {"private", "no-store"} <= set(changed["Cache-Control"].split(", "))
    assert browser.whoami() == is_(ada, after)


def test_it_is_the_same_device_and_the_same_login(changed):
    before, after = DeviceSession.objects.order_by("created_at")
    for name in ("device_id", "device_type", "device_name", "amr", "auth_time", "persistent"):
        assert getattr(before, name) == getattr(after, name), name
    assert after.generation == 1


def test_its_new_session_is_renewed_like_any_other(changed, browser, ada):
    browser.whoami()
    pass_time(only_live(), hours=1)
    browser.lose(ACCESS)
    assert browser.whoami() == is_(ada, only_live())
    assert only_live().generation == 2


def test_the_other_devices_are_signed_out(ada, password, browser):
    phone, other = open_session(ada), Browser()
    page_login(other, ada, password)
    page_login(browser, ada, password)
    change_password(browser, password)
    assert reason_of(phone.session) == "password_changed"
    assert other.whoami() == NOBODY
    assert browser.whoami() == is_(ada, only_live())


def test_the_old_cookies_of_that_very_device_are_worth_nothing(browser, ada, password):
    page_login(browser, ada, password)
    stolen = {name: browser.cookies[name].value for name in (ACCESS, REFRESH, "sessionid")}
    change_password(browser, password)
    for names in ({ACCESS}, {REFRESH}, {"sessionid"}, set(stolen)):
        thief = Browser()
        thief.cookies = SimpleCookie({name: stolen[name] for name in names})
        assert thief.whoami() == NOBODY, names
    assert browser.whoami() == is_(ada, only_live())


def test_a_password_changed_in_a_request_that_renewed_its_session(browser, ada, password):
    page_login(browser, ada, password)
    browser.whoami()
    pass_time(only_live(), hours=1)
    browser.lose(ACCESS)
    change_password(browser, password)
    assert browser.whoami() == is_(ada, only_live())
    assert DeviceSession.objects.count() == 2


def test_a_session_not_to_be_remembered_stays_so_after_a_password_change(browser, ada, password):
    typed = {"username": ada.get_username(), "password": password}  # without "remember"
    browser.post("/account/login/", typed)
    assert only_live().persistent is False
    response = change_password(browser, password)
    assert response.cookies[REFRESH]["max-age"] == ""
    assert only_live().persistent is False


@pytest.mark.parametrize("how", ["saved", "in_bulk"])
def test_however_the_site_changes_it(how, browser, ada, password):
    page_login(browser, ada, password)
    before = only_live()
    response = browser.get(f"/change-my-password/{how}/")
    assert {ACCESS, REFRESH} <= set(response.cookies)
    assert reason_of(before) == "password_changed"
    assert browser.whoami() == is_(ada, only_live())
    assert only_live() != before


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("and_once_more", "password_changed"),
        ("and_disabled", "password_changed"),
        ("after_a_kick", "kicked"),
    ],
)
def test_it_stays_for_no_other_reason(how, reason, browser, ada, password):
    page_login(browser, ada, password)
    response = browser.get(f"/change-my-password/{how}/")
    assert not {ACCESS, REFRESH} & set(response.cookies)
    assert browser.whoami() == NOBODY
    assert DeviceSession.objects.get().end_reason == reason


def test_nor_where_its_session_is_gone(browser, ada, password):
    page_login(browser, ada, password)
    response = browser.get("/change-my-password/and_pruned/")
    assert not {ACCESS, REFRESH} & set(response.cookies)
    assert browser.whoami() == NOBODY


def test_an_administrator_who_changes_somebodys_password_keeps_her_own_session(browser, admin, ada, password):
    phone = open_session(ada)
    page_login(browser, admin, password)
    own = only_live_of(admin)
    ada.set_password("from-the-desk-of-the-admin")
    ada.save()
    assert reason_of(phone.session) == "password_changed"
    assert browser.whoami() == is_(admin, own)


def only_live_of(user):
    return DeviceSession.objects.live().get(user=user)


def test_a_password_changed_elsewhere_signs_this_device_out(browser, ada, password):
    page_login(browser, ada, password)
    browser.whoami()
    ada.set_password("from-the-phone")
    ada.save()
    assert browser.whoami() == NOBODY
    assert not live()


# Remember me


@pytest.mark.parametrize(("typed", "remembered"), [({}, False), ({"remember": "on"}, True)])
def test_cookies_last_as_long_as_the_login_page_was_told(typed, remembered, browser, ada, password):
    response = browser.post(
        "/account/login/", {"username": ada.get_username(), "password": password, **typed}
    )
    for _request in range(2):
        assert (response.cookies[REFRESH]["max-age"] != "") is remembered
        assert (response.cookies[ACCESS]["max-age"] != "") is remembered
        pass_time(only_live(), hours=1)
        browser.lose(ACCESS)
        response = browser.get("/untouched/")
    assert only_live().persistent is remembered
    assert browser.session.get_expire_at_browser_close() is not remembered


@pytest.mark.parametrize("closing", [True, False])
def test_a_django_login_lasts_as_long_as_djangos_own_session(closing, browser, ada, password, settings):
    settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = closing
    response = form_login(browser, ada, password)
    assert (response.cookies[REFRESH]["max-age"] == "") is closing
    assert only_live().persistent is not closing


def test_remembered_on_a_site_that_otherwise_forgets(browser, ada, password, settings):
    settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = True
    typed = {"username": ada.get_username(), "password": password, "remember": "on"}
    response = browser.post("/account/login/", typed)
    assert response.cookies[REFRESH]["max-age"]
    assert response.cookies["sessionid"]["max-age"]


# Requests that never came through the middleware


def test_a_login_without_the_middleware_opens_a_session_and_its_logout_ends_it(
    browser, ada, password, settings
):
    middleware = [name for name in settings.MIDDLEWARE if not name.startswith("authx.")]
    settings.MIDDLEWARE = middleware
    form_login(browser, ada, password)
    session = only_live()
    assert session.user == ada
    browser.post("/django-logout/")
    assert reason_of(session) == "logout"


def logs_in_afterwards(get_response):
    """Middleware that logs ada in when the page has been made, and what it is given has left."""

    def middleware(request):
        response = get_response(request)
        if request.path == "/untouched/":
            model = get_user_model()
            log_in(request, model._default_manager.get(email="ada@example.com"), backend=MODEL_BACKEND)
        return response

    return middleware


def test_a_login_outside_our_middleware_is_bound_at_once(browser, ada, settings):
    django, *others = settings.MIDDLEWARE
    settings.MIDDLEWARE = [django, f"{__name__}.logs_in_afterwards", *others]
    response = browser.get("/untouched/")
    session = only_live()
    assert not OURS & set(response.cookies)
    assert browser.django_session["_authx_session"] == str(session.pk)
    assert browser.whoami() == is_(ada, session)
    assert set(browser.cookies) >= OURS
    assert only_live() == session


@pytest.mark.parametrize("request_", [None, HttpRequest(), RequestFactory().post("/")], ids=repr)
def test_a_login_without_a_django_session_is_not_ours(request_, ada):
    user_logged_in.send(type(ada), request=request_, user=ada)
    user_logged_out.send(type(ada), request=request_, user=ada)
    assert not DeviceSession.objects.exists()


@pytest.mark.parametrize("out", ["/django-logout/", "/account/logout/", "/api/auth/logout/", "client"])
def test_a_test_client_that_was_signed_out_can_be_logged_in_as_another(out, ada, bob, password):
    client = Client()
    form_login(client, ada, password)
    client.logout() if out == "client" else client.post(out)
    for _again in range(2):
        client.force_login(bob)
        assert client.get("/whoami/").json() == is_(bob, only_live())
        client.logout()


def test_test_clients_log_in_and_out_without_a_request_of_their_own(browser, ada):
    browser.force_login(ada)
    session = only_live()
    assert browser.whoami() == is_(ada, session)
    Client.logout(browser)
    assert browser.whoami() == NOBODY
