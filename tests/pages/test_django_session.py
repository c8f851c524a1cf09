"""authx.http.django_session: whichever door changes who a browser is, nothing of another's is left in it."""

from http.cookies import SimpleCookie

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as site
from django.contrib.auth import SESSION_KEY, get_user_model, user_logged_in
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import path
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from authx.conf import conf
from authx.models import DeviceSession
from authx.pages import login_signals
from authx.sessions import end_session, end_sessions, open_session
from tests.more_urls import urlpatterns as more_urls

pytestmark = [pytest.mark.exhaustive, pytest.mark.django_db]
# DRF rolls the transaction of a refused request back, where every view has one: not the test's, therefore.
committing = pytest.mark.django_db(transaction=True)
ATOMIC = site.DATABASES["default"].get("ATOMIC_REQUESTS", False)

ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
LOGIN, LOGOUT, REFRESHING = "/api/auth/login/", "/api/auth/logout/", "/api/auth/refresh/"
NOBODY = {"user": None, "session": None}
PAGES = "authx.pages.middleware.DeviceSessionMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
ENGINES = ["db", "cache", "cached_db", "file", "signed_cookies"]


def keep(request: HttpRequest, what: str) -> JsonResponse:
    """Put something into the Django session without asking who it is; say what was there."""
    before = sorted(key for key in request.session.keys() if not key.startswith("_"))  # noqa: SIM118
    request.session[what] = True
    return JsonResponse({"before": before})


def kept(request: HttpRequest) -> JsonResponse:
    """Say what is in the Django session, and ask nobody."""
    return JsonResponse({"kept": sorted(key for key in request.session.keys() if key[0] != "_")})  # noqa: SIM118


class ApiKept(APIView):
    """The same through the API, for whoever asks."""

    permission_classes = [AllowAny]

    def get(self, request):
        found = sorted(key for key in request.session.keys() if key[0] != "_")  # noqa: SIM118
        return Response({"user": str(request.user), "kept": found})


class ApiKeep(APIView):
    """Put something away through the API, for whoever asks."""

    permission_classes = [AllowAny]

    def post(self, request, what):
        request.session[what] = True
        return Response({"user": str(request.user)})


class TouchingMiddleware:
    """Asks at once who it is, as many a site's middleware does."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        assert str(request.user)
        return self.get_response(request)


urlpatterns = [
    path("keep/<what>/", keep),
    path("kept/", kept),
    path("api/kept/", ApiKept.as_view()),
    path("api/keep/<what>/", ApiKeep.as_view()),
    *more_urls,
]


@pytest.fixture(autouse=True)
def urls(settings):
    settings.ROOT_URLCONF = __name__


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

    def api_login(self, user, transport="cookie", **more):
        body = {"username": user.get_username(), "password": "correct-horse-battery-staple", **more}
        body["transport"] = transport
        response = self.post(LOGIN, body, content_type="application/json")
        assert response.status_code == 200, response.content
        return response

    def page_login(self, user, path="/account/login/"):
        typed = {"username": user.get_username(), "password": "correct-horse-battery-staple"}
        response = self.post(path, typed)
        assert response.status_code == 302, response.content
        return response

    def keep(self, what):
        return self.get(f"/keep/{what}/").json()["before"]

    def kept(self):
        return self.get("/kept/").json()["kept"]

    def whoami(self):
        return self.get("/whoami/").json()

    @property
    def key(self):
        """The key of the Django session; None without one."""
        cookie = self.cookies.get(site.SESSION_COOKIE_NAME)
        return cookie.value if cookie is not None and cookie.value else None


@pytest.fixture
def browser():
    return Browser()


def copy(browser, *names):
    other = Browser()
    other.cookies = SimpleCookie({name: browser.cookies[name].value for name in names})
    return other


def live():
    return DeviceSession.objects.live().get()


def is_(user, session):
    return {"user": user.get_username(), "session": str(session.pk)}


@pytest.fixture
def no_pages(settings):
    """A site with an API alone, which keeps things in Django sessions all the same."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != PAGES]


# Login: what was kept by nobody stays, under a new key


@pytest.mark.parametrize("engine", ENGINES)
def test_a_login_keeps_what_an_anonymous_visitor_put_away_under_a_new_key(
    engine, browser, ada, settings, tmp_path
):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    browser.keep("basket")
    planted = copy(browser, "sessionid")
    before = browser.key
    browser.api_login(ada)
    assert browser.key not in {None, before}
    assert browser.kept() == ["basket"]
    assert browser.whoami() == is_(ada, live())
    assert browser.kept() == ["basket"]
    browser.keep("secret")
    if engine != "signed_cookies":  # there the copy is all of it, and holds what it held
        assert planted.kept() == []
    assert "secret" not in planted.kept()


def test_a_login_without_a_django_session_is_given_none(browser, ada):
    browser.api_login(ada)
    assert browser.key is None
    assert not Session.objects.exists()
    browser.whoami()
    assert browser.key is None


def test_nor_is_one_with_a_key_that_nobody_knows(browser, ada):
    browser.cookies["sessionid"] = "planted0planted0planted0planted0"
    browser.api_login(ada)
    assert browser.key is None
    assert not Session.objects.exists()


def test_an_empty_planted_session_is_not_the_one_that_is_used_later(browser, ada):
    browser.keep("x")
    session = browser.session
    del session["x"]
    session.save()
    planted = browser.key
    browser.api_login(ada)
    assert browser.key != planted
    assert not Session.objects.filter(pk=planted).exists()


def test_a_login_by_body_leaves_the_django_session_alone(browser, ada, bob):
    browser.page_login(ada)
    browser.keep("basket")
    before, data = browser.key, dict(browser.session.items())
    browser.api_login(bob, transport="body")
    browser.api_login(ada, transport="body")
    assert (browser.key, dict(browser.session.items())) == (before, data)


@committing
def test_a_login_that_fails_leaves_the_django_session_alone(browser, ada, bob, settings):
    browser.api_login(ada)
    browser.keep("basket")
    before = browser.key
    wrong = {"username": bob.get_username(), "password": "wrong", "transport": "cookie"}
    assert browser.post(LOGIN, wrong, content_type="application/json").status_code == 401
    settings.AUTHX_SESSION_LIMITS = [{"types": ["web", "other"], "limit": 1, "when_full": "refuse"}]
    open_session(bob)
    right = wrong | {"password": "correct-horse-battery-staple"}
    assert browser.post(LOGIN, right, content_type="application/json").status_code == 409
    assert (browser.key, browser.kept()) == (before, ["basket"])
    assert browser.whoami()["user"] == ada.get_username()


# Login: what somebody else kept is gone

api_login = pytest.param(lambda browser, user: browser.api_login(user), id="API")
page_login = pytest.param(lambda browser, user: browser.page_login(user), id="page")
django_login = pytest.param(lambda browser, user: browser.page_login(user, "/django-login/"), id="Django")
code_login = pytest.param(lambda browser, user: browser.get(f"/log-in/{user.get_username()}/"), id="code")
drf_login = pytest.param(lambda browser, user: browser.post(f"/api/log-in/{user.get_username()}/"), id="DRF")
LOGINS = [api_login, page_login, django_login, code_login, drf_login]


def ask(browser):
    browser.whoami()


LEFT = {
    "with all cookies": lambda browser: None,
    "whose access cookie ran out": lambda browser: browser.lose(ACCESS),
    "whose cookies ran out": lambda browser: browser.lose(ACCESS, REFRESH),
    "who was kicked": lambda browser: end_sessions(DeviceSession.objects.all(), "kicked"),
    "whose ended session was pruned": lambda browser: DeviceSession.objects.all().delete(),
    "who was deleted": lambda browser: DeviceSession.objects.get().user.delete(),
}


@pytest.mark.parametrize("asks", [False, True], ids=["", "who asks in between"])
@pytest.mark.parametrize("leave", LEFT.values(), ids=LEFT)
@pytest.mark.parametrize("second", LOGINS)
@pytest.mark.parametrize("first", [api_login, page_login])
def test_the_second_user_of_a_browser_never_reads_what_the_first_kept(
    first, second, leave, asks, browser, ada, bob
):
    first(browser, ada)
    browser.keep("adas")
    assert browser.kept() == ["adas"]
    before = browser.key
    leave(browser)
    if asks:
        ask(browser)
    second(browser, bob)
    assert browser.kept() == []
    assert browser.key != before
    assert not Session.objects.filter(pk=before).exists()
    assert browser.whoami() == is_(bob, DeviceSession.objects.live().get(user=bob))
    assert browser.kept() == []


@pytest.mark.parametrize("second", LOGINS)
@pytest.mark.parametrize("first", LOGINS)
def test_the_same_user_signing_in_again_keeps_what_was_kept(first, second, browser, ada):
    first(browser, ada)
    browser.keep("adas")
    second(browser, ada)
    assert browser.kept() == ["adas"]
    assert browser.whoami() == is_(ada, live())
    assert browser.kept() == ["adas"]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_with_every_engine(engine, browser, ada, bob, settings, tmp_path):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    browser.api_login(ada)
    browser.keep("adas")
    browser.api_login(bob)
    assert browser.kept() == []
    browser.keep("bobs")
    browser.page_login(ada)
    assert browser.kept() == []


@pytest.mark.parametrize("second", LOGINS)
def test_what_was_kept_under_another_password_is_gone_too(second, browser, ada):
    browser.api_login(ada)
    browser.keep("by whoever knew the old one")
    ada.set_password("another")
    ada.save()
    ada.set_password("correct-horse-battery-staple")
    ada.save()  # the hash is another, though the password is not
    second(browser, ada)
    assert browser.kept() == []
    assert browser.whoami()["user"] == ada.get_username()


def test_on_a_site_without_pages_too(no_pages, browser, ada, bob):
    browser.api_login(ada)
    browser.keep("adas")
    browser.api_login(bob)
    assert browser.kept() == []
    browser.keep("bobs")
    browser.api_login(bob)
    assert browser.kept() == ["bobs"]
    browser.lose(ACCESS, REFRESH)
    browser.api_login(ada)
    assert browser.kept() == []


def test_a_site_without_pages_knows_whose_it_is_at_the_next_refresh(no_pages, browser, ada, bob):
    browser.api_login(ada)
    browser.keep("adas")
    assert browser.post(REFRESHING).status_code == 200
    browser.lose(ACCESS, REFRESH)
    browser.api_login(bob)
    assert browser.kept() == []


# Login over a Django login


def bound_elsewhere(browser, ada, bob):
    browser.page_login(ada)
    browser.lose(ACCESS, REFRESH)


def deliberately_unbound(browser, ada, bob):
    site.AUTHX_BIND_DJANGO_LOGIN = False
    conf.forget()
    browser.page_login(ada, "/django-login/")


def of_before_authx(browser, ada, bob):
    user_logged_in.disconnect(dispatch_uid="authx.pages.login")
    try:
        browser.page_login(ada, "/django-login/")
    finally:
        login_signals.connect()


def impersonating(browser, ada, bob):
    get_user_model()._default_manager.filter(pk=bob.pk).update(is_staff=True)
    browser.page_login(bob)
    site.AUTHX_BIND_DJANGO_LOGIN = False
    conf.forget()
    browser.get(f"/impersonate/{ada.get_username()}/")


DJANGO_LOGINS = [bound_elsewhere, deliberately_unbound, of_before_authx]


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize("django", [*DJANGO_LOGINS, impersonating])
def test_a_login_over_somebody_elses_django_login_is_the_only_one(
    django, touched, browser, ada, bob, make_user, settings
):
    settings.AUTHX_BIND_DJANGO_LOGIN = True
    carol = make_user("carol")
    django(browser, ada, bob)
    browser.keep("adas")
    if touched:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.TouchingMiddleware"]
        browser = copy(browser, *browser.cookies)  # which begins with these middleware
    response = browser.api_login(carol)
    session = DeviceSession.objects.live().get(user=carol)
    assert response.json()["session_id"] == str(session.pk)
    assert browser.kept() == []
    assert browser.whoami() == is_(carol, session)
    assert all(SESSION_KEY not in data.get_decoded() for data in Session.objects.all())
    assert set(DeviceSession.objects.live()) == {session}


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize("django", DJANGO_LOGINS)
def test_a_login_over_ones_own_django_login_binds_it(django, touched, browser, ada, bob, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = True
    django(browser, ada, bob)
    browser.keep("adas")
    before = browser.key
    if touched:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.TouchingMiddleware"]
        browser = copy(browser, *browser.cookies)  # which begins with these middleware
    browser.api_login(ada)
    session = live()
    assert browser.key != before
    assert browser.kept() == ["adas"]
    assert browser.session["_authx_session"] == str(session.pk)
    assert browser.whoami() == is_(ada, session)
    assert browser.kept() == ["adas"]
    end_session(session, "kicked")
    assert browser.whoami() == NOBODY
    assert not Session.objects.filter(pk=before).exists()


def test_whoever_was_impersonated_reads_nothing_of_it(browser, ada, bob, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = True
    impersonating(browser, ada, bob)
    browser.keep("what bob did as ada")
    browser.api_login(ada)
    assert browser.kept() == []
    assert browser.whoami() == is_(ada, live())


def test_an_impersonation_reads_nothing_that_was_kept_before(browser, ada, bob, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    get_user_model()._default_manager.filter(pk=bob.pk).update(is_staff=True)
    browser.api_login(bob)
    browser.keep("bobs")
    browser.get(f"/impersonate/{ada.get_username()}/")
    assert browser.kept() == []
    assert browser.whoami()["user"] == ada.get_username()


# Logout


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("way", ["logout", "DELETE"])
@pytest.mark.parametrize("login", [api_login, page_login])
def test_a_logout_through_the_api_leaves_nothing_behind(login, way, engine, browser, ada, settings, tmp_path):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    login(browser, ada)
    browser.keep("adas")
    sid = live().pk
    tab = copy(browser, "sessionid")
    response = browser.post(LOGOUT) if way == "logout" else browser.delete(f"/api/auth/sessions/{sid}/")
    assert response.status_code == 204
    assert browser.key is None
    assert browser.kept() == []
    if engine != "signed_cookies":
        assert tab.kept() == []
    assert tab.whoami() == browser.whoami() == NOBODY


@pytest.mark.parametrize("touched", [False, True])
def test_a_logout_ends_an_impersonation_too(touched, browser, ada, bob, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = True
    impersonating(browser, ada, bob)
    if touched:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.TouchingMiddleware"]
        browser = copy(browser, *browser.cookies)  # which begins with these middleware
    assert browser.post(LOGOUT).status_code == 204
    assert browser.whoami() == NOBODY
    assert not Session.objects.exists()
    assert not DeviceSession.objects.live().exists()


def test_a_logout_with_garbage_ends_the_session_of_the_django_login(browser, ada):
    browser.page_login(ada)
    browser.cookies[ACCESS] = browser.cookies[REFRESH] = "garbage"
    assert browser.post(LOGOUT).status_code == 204
    assert DeviceSession.objects.get().end_reason == "logout"
    assert not Session.objects.exists()


@pytest.mark.parametrize("way", ["bearer", "body", "DELETE"])
def test_who_logs_out_without_a_cookie_leaves_the_browsers_session_alone(way, browser, ada, bob):
    browser.api_login(ada)
    browser.keep("adas")
    before = browser.key
    other = open_session(bob)
    bearer = {"Authorization": f"Bearer {other.access_token}"}
    if way == "body":
        browser.post(LOGOUT, {"refresh_token": other.refresh_token}, content_type="application/json")
    elif way == "bearer":
        browser.post(LOGOUT, headers=bearer)
    else:
        browser.delete(f"/api/auth/sessions/{other.session.pk}/", headers=bearer)
    assert not DeviceSession.objects.live().filter(user=bob).exists()
    assert (browser.key, browser.kept()) == (before, ["adas"])


def test_ending_another_session_of_ones_own_leaves_it_alone(browser, ada):
    browser.api_login(ada)
    browser.keep("adas")
    phone = open_session(ada)
    assert browser.delete(f"/api/auth/sessions/{phone.session.pk}/").status_code == 204
    assert browser.kept() == ["adas"]
    assert browser.post("/api/auth/sessions/end-others/").status_code == 200
    assert browser.kept() == ["adas"]


# An end that nobody in this browser has asked for


ASKS = {
    "a page": lambda browser: browser.get("/whoami/"),
    "the API": lambda browser: browser.get("/api/whoami/"),
    "the API, publicly": lambda browser: browser.get("/api/kept/"),
    "a refresh": lambda browser: browser.post(REFRESHING),
}


@committing
@pytest.mark.parametrize("lost", [(), (ACCESS,)], ids=["", "its access cookie ran out"])
@pytest.mark.parametrize("reason", ["kicked", "reused", "ended_by_user"])
@pytest.mark.parametrize("asking", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize("login", [api_login, page_login])
def test_once_a_refusal_said_so_nothing_is_left(login, asking, reason, lost, browser, ada):
    login(browser, ada)
    browser.keep("adas")
    end_session(DeviceSession.objects.get(), reason)
    browser.lose(*lost)
    asking(browser)
    assert browser.kept() == []
    if not (
        ATOMIC and asking is ASKS["the API"]
    ):  # the row stays with its refused request, and its ended owner
        assert not Session.objects.exists()


@committing
@pytest.mark.parametrize("asking", ["/api/kept/", REFRESHING])
def test_on_a_site_without_pages_nothing_is_left_either(asking, no_pages, browser, ada):
    browser.keep("before")
    browser.api_login(ada)
    end_session(DeviceSession.objects.get(), "kicked")
    said = browser.post(asking) if asking == REFRESHING else browser.get(asking)
    assert said.status_code == (401 if asking == REFRESHING else 200)
    assert "before" not in str(said.content)
    assert browser.kept() == []


def test_without_our_cookies_what_an_ended_session_kept_is_gone_at_the_next_page(browser, ada):
    browser.api_login(ada)
    browser.keep("adas")
    end_session(DeviceSession.objects.get(), "kicked")
    browser.lose(ACCESS, REFRESH)
    assert 'data-reason="kicked"' in browser.get("/account/login/").content.decode()
    assert browser.kept() == []


def test_without_our_cookies_what_a_live_session_kept_waits_for_them(browser, ada):
    """As on a link from elsewhere, where SameSite keeps ours back and lets Django's through."""
    browser.api_login(ada)
    browser.keep("adas")
    link = copy(browser, "sessionid")
    assert link.whoami() == NOBODY
    assert browser.kept() == ["adas"]


def test_an_older_sessions_end_takes_nothing_from_a_newer_one(browser, ada):
    browser.api_login(ada)
    old = copy(browser, ACCESS)
    browser.keep("adas")
    browser.api_login(ada)
    old.cookies["sessionid"] = browser.key
    assert old.whoami() == NOBODY
    assert browser.kept() == ["adas"]


@pytest.mark.parametrize("stale", [(ACCESS, REFRESH), (REFRESH,)])
def test_a_visitor_with_cookies_of_an_ended_session_keeps_a_basket(stale, browser, ada):
    browser.api_login(ada)
    end_session(DeviceSession.objects.get(), "kicked")
    if ACCESS not in stale:
        browser.lose(ACCESS)
    for what in "abc":
        browser.keep(what)
        assert browser.whoami() == NOBODY
    assert browser.kept() == ["a", "b", "c"]
    browser.api_login(ada)
    assert browser.kept() == ["a", "b", "c"]


# Whose it becomes


def test_what_is_first_written_belongs_to_whoever_is_signed_in(browser, ada):
    browser.api_login(ada)
    browser.keep("adas")
    assert browser.session["_authx_session"] == str(live().pk)
    assert SESSION_KEY not in browser.session


def test_a_planted_session_of_somebody_elses_is_flushed_when_a_page_asks(browser, ada, bob):
    mallory = Browser()
    mallory.api_login(bob)
    mallory.keep("mallorys")
    browser.api_login(ada)
    browser.cookies["sessionid"] = mallory.key
    assert browser.whoami()["user"] == ada.get_username()
    assert browser.kept() == []
    browser.keep("adas")
    assert mallory.kept() == []


PLANTED = {
    "anonymous": lambda mallory, bob: None,
    "of an API login": lambda mallory, bob: mallory.api_login(bob),
    "of a page login": lambda mallory, bob: mallory.page_login(bob),
    "of a login left unbound": lambda mallory, bob: deliberately_unbound(mallory, bob, None),
    "of a login from before authx": lambda mallory, bob: of_before_authx(mallory, bob, None),
}
WRITES = {
    "page": lambda browser: browser.keep("adas"),
    "API": lambda browser: browser.post("/api/keep/adas/"),
}


@pytest.mark.parametrize("engine", ["db", "cache", "cached_db", "file"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("login", PLANTED.values(), ids=PLANTED)
def test_what_is_written_after_the_login_is_never_read_by_a_planted_key(
    login, write, engine, browser, ada, bob, settings, tmp_path
):
    """Also where nobody asks who it is, and by the API, which lets in without looking at Django's session."""
    settings.AUTHX_BIND_DJANGO_LOGIN = True
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    mallory = Browser()
    login(mallory, bob)
    mallory.keep("mallorys")
    browser.api_login(ada)
    browser.cookies["sessionid"] = mallory.key
    write(browser)
    assert "adas" not in mallory.kept()
    write(browser)
    assert browser.kept()[:1] == ["adas"]
    assert "adas" not in mallory.kept()
    assert browser.whoami()["user"] == ada.get_username()


@pytest.mark.parametrize("login", PLANTED.values(), ids=PLANTED)
def test_nor_after_the_next_refresh_on_a_site_without_pages(login, no_pages, browser, ada, bob, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = True
    mallory = Browser()
    login(mallory, bob)
    mallory.keep("mallorys")
    browser.api_login(ada)
    browser.cookies["sessionid"] = mallory.key
    assert browser.post(REFRESHING).status_code == 200
    browser.keep("adas")
    assert "adas" not in mallory.kept()


def test_writing_to_ones_own_asks_authx_nothing(browser, ada):
    browser.api_login(ada)
    browser.keep("adas")
    assert browser.whoami()["user"] == ada.get_username()
    with CaptureQueriesContext(connection) as asked:
        browser.keep("adas")
    assert len(asked)
    assert not [one["sql"] for one in asked if DeviceSession._meta.db_table in one["sql"]]


def test_a_login_not_to_be_remembered_leaves_nothing_when_the_browser_closes(browser, ada):
    browser.keep("before")
    browser.api_login(ada, remember=False)
    assert browser.cookies["sessionid"]["max-age"] == ""
    browser.post(LOGOUT)
    browser.api_login(ada, remember=False)
    browser.keep("after")
    assert browser.cookies["sessionid"]["max-age"] == ""


def test_a_remembered_login_is_remembered_where_django_forgets(browser, ada, settings):
    settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = True
    browser.page_login(ada, "/django-login/")
    browser.api_login(ada)
    assert browser.cookies["sessionid"]["max-age"] != ""
    browser.whoami()
    assert live().persistent


def test_a_changed_password_keeps_what_was_kept(browser, ada):
    browser.api_login(ada)
    browser.keep("adas")
    assert browser.get("/change-my-password/saved/").status_code == 200
    assert browser.kept() == ["adas"]
    assert browser.whoami() == is_(ada, live())
    assert browser.kept() == ["adas"]


# Sites of other kinds


@committing
@pytest.mark.parametrize("pages", [True, False])
def test_a_site_without_django_sessions_signs_in_and_out(pages, browser, ada, bob, settings):
    needs_one = (SESSIONS, "django.contrib.auth", "django.contrib.messages", "" if pages else PAGES)
    settings.MIDDLEWARE = [
        name for name in settings.MIDDLEWARE if not any(part and name.startswith(part) for part in needs_one)
    ]
    browser.api_login(ada)
    browser.api_login(bob)
    assert browser.get("/api/whoami/").json()["user"] == str(bob.pk)
    assert browser.post(REFRESHING).status_code == 200
    assert browser.delete(f"/api/auth/sessions/{live().pk}/").status_code == 204
    browser.api_login(ada)
    session = live()
    assert browser.post(LOGOUT).status_code == 204
    browser.api_login(ada)
    end_session(live(), "kicked")
    assert browser.get("/api/whoami/").status_code == 401
    assert browser.post(REFRESHING).status_code == 401
    assert DeviceSession.objects.get(pk=session.pk).end_reason == "logout"


@committing
def test_a_site_whose_csrf_token_is_in_the_session(ada, bob, settings):
    settings.CSRF_USE_SESSIONS = True
    browser = Browser(enforce_csrf_checks=True)

    def token():
        browser.get(LOGIN)
        from django.middleware.csrf import _mask_cipher_secret

        return {"X-CSRFToken": _mask_cipher_secret(browser.session["_csrftoken"])}

    for user in (ada, bob):
        body = {"username": user.get_username(), "password": "correct-horse-battery-staple"}
        body["transport"] = "cookie"
        headers = token()
        response = browser.post(LOGIN, body, content_type="application/json", headers=headers)
        assert response.status_code == 200
        again = browser.post(LOGOUT + "?", headers={"X-CSRFToken": "x" * 64})
        assert again.status_code == 403
    assert browser.post(LOGOUT, headers=token()).status_code == 204


def test_the_same_under_asgi(ada, bob):
    async def act():
        client = AsyncClient()

        async def login(user):
            body = {"username": user.get_username(), "password": "correct-horse-battery-staple"}
            body["transport"] = "cookie"
            assert (await client.post(LOGIN, body, content_type="application/json")).status_code == 200

        await client.get("/keep/before/")
        await login(ada)
        first = (await client.get("/keep/adas/")).json()
        await login(bob)
        second = (await client.get("/keep/bobs/")).json()
        assert (await client.get("/async-whoami/")).json()["user"] == bob.get_username()
        assert (await client.post(LOGOUT)).status_code == 204
        third = (await client.get("/kept/")).json()
        return first, second, third

    assert async_to_sync(act)() == ({"before": ["before"]}, {"before": []}, {"kept": []})


# What other apps note at the login itself


def note(sender, request, user, **kwargs):
    request.session["newcomers"] = user.get_username()
    request.session["list"] = [*request.session.get("list", []), "newcomers"]


@pytest.fixture
def noting_app():
    """An app whose receiver has been connected before ours, as django-otp's always is."""
    user_logged_in.disconnect(dispatch_uid="authx.pages.login")
    user_logged_in.connect(note)
    login_signals.connect()
    yield
    user_logged_in.disconnect(note)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("login", [page_login, code_login, drf_login])
@pytest.mark.parametrize("first", [api_login, page_login])
def test_what_another_app_notes_at_a_login_is_the_newcomers(
    first, login, engine, noting_app, browser, ada, bob, settings, tmp_path
):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    first(browser, ada)
    browser.keep("adas")
    browser.keep("newcomers")
    login(browser, bob)
    assert "adas" not in browser.kept()
    assert browser.session["newcomers"] == bob.get_username()
    assert browser.session.get("list") in (None, ["newcomers"])
