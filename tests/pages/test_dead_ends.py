"""Forms that are sent late or twice: whoever sends one arrives at a page, never at a 404 or a 405."""

import re
from http.cookies import SimpleCookie
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView, logout_then_login
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import path

from authx.models import DeviceSession
from authx.pages.middleware import DeviceSessionMiddleware
from authx.sessions import Device, end_session, open_session
from tests.urls import urlpatterns as site

pytestmark = pytest.mark.django_db

LOGIN, LOGOUT, DEVICES = "/account/login/", "/account/logout/", "/account/devices/"
END_OTHERS = f"{DEVICES}end-others/"
ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"
LOGOUTS = [LOGOUT, "/django-logout/", "/admin/logout/", "/wrapped-logout/", "/logout-then-login/"]


class Confirming(LogoutView):
    """A site's own, which asks first, and shows who is to leave."""

    http_method_names = ("get", "post")

    def get(self, request):
        return HttpResponse(f"Leave, {request.user}?")


urlpatterns = [
    path("wrapped-logout/", login_required(LogoutView.as_view(next_page="/whoami/"))),
    path("logout-then-login/", logout_then_login),
    path("confirmed-logout/", Confirming.as_view(next_page="/whoami/")),
    path("sign-in/", LoginView.as_view(template_name="site/form.html"), name="sign-in"),
    *site,
]

any_logout = pytest.mark.parametrize("logout", LOGOUTS)


@pytest.fixture(autouse=True)
def urls(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture(params=[False, True], ids=["plain", "login required"])
def strict(request, settings):
    """A site like any other, and one whose every page demands a login."""
    if request.param:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]
    return request.param


def sign_in(browser, user, password, page=LOGIN):
    answer = browser.post(page, {"username": user.get_username(), "password": password})
    assert answer.status_code == 302
    browser.get("/whoami/")
    return answer


@pytest.fixture
def browser(admin, password):
    """An administrator's browser: the admin's logout is one of those that are tried."""
    browser = Client()
    sign_in(browser, admin, password)
    return browser


def session_of(browser):
    return DeviceSession.objects.get(pk=browser.get("/whoami/").json()["session"])


def follow(browser, answer, user, password):
    """Go where a browser is led, signing in where that is asked; the page that it arrives at."""
    for _step in range(6):
        if answer.status_code != 302:
            return answer
        where = answer["Location"]
        page = browser.get(where)
        if b'name="password"' not in page.content:
            answer = page
            continue
        typed = {"username": user.get_username(), "password": password}
        if found := re.search(rb'name="next" value="([^"]*)"', page.content):
            typed["next"] = found[1].decode()
        answer = browser.post(where, typed)
    raise AssertionError(f"led round and round: {answer['Location']}")


@any_logout
@pytest.mark.parametrize("login_url", ["authx:login", "sign-in", "admin:login"])
def test_signing_out_of_a_session_that_has_ended_ends_on_a_page(
    logout, login_url, strict, browser, admin, password, settings
):
    if logout == "/wrapped-logout/" and login_url != "authx:login":
        return  # views of Django's and none of ours: what they do without authx
    settings.LOGIN_URL = login_url
    end_session(session_of(browser), "kicked")
    page = follow(browser, browser.post(logout), admin, password)
    assert page.status_code == 200


@any_logout
def test_signing_out_of_a_live_session_ends_it_whatever_is_left_of_the_cookies(logout, strict, browser):
    session = session_of(browser)
    del browser.cookies[ACCESS]
    assert browser.post(logout).status_code in {200, 302}
    session.refresh_from_db()
    assert session.end_reason == "logout"
    assert REFRESH not in browser.cookies or not browser.cookies[REFRESH].value


@any_logout
def test_signing_out_twice_says_twice_that_one_is_signed_out(logout, strict, browser, admin, password):
    stale = SimpleCookie({name: cookie.value for name, cookie in browser.cookies.items()})
    first = browser.post(logout)
    browser.cookies = stale  # sent before the first answer arrived
    second = browser.post(logout)
    if logout == "/wrapped-logout/":
        assert second["Location"] == f"{LOGIN}?next={logout}"
    elif logout == "/admin/logout/":
        assert second["Location"] == "/admin/", "as Django's admin does"
    else:
        assert (second.status_code, second.get("Location")) == (first.status_code, first.get("Location"))
        assert second.content == first.content


@any_logout
def test_an_asynchronous_site_lets_everybody_reach_its_logout_too(logout, settings, db):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]
    answer = async_to_sync(AsyncClient().post)(logout)
    if logout == "/wrapped-logout/":
        assert answer["Location"] == f"{LOGIN}?next={logout}"
    else:
        assert answer.get("Location") in {None, LOGIN, "/whoami/", "/admin/"}


class Extended(DeviceSessionMiddleware):
    """A site's own, which looks at views too."""

    def process_view(self, request, view, *args):
        request.META["LOOKED_AT"] = "yes"
        return super().process_view(request, view, *args)


class Looking:
    """A site's own, which looks at views as LoginRequiredMiddleware does."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, *args):
        return None


class Passing:
    """A site's own, whose object hands on to one that it is not known to be."""

    def __init__(self, get_response):
        self.looking = Looking(get_response)

    def __call__(self, request):
        return self.looking(request)

    def __getattr__(self, name):
        return getattr(self.looking, name)


def function(get_response):
    """Of what this returns, nothing is known before it is called."""
    return Looking(get_response)


OURS = "authx.pages.middleware.DeviceSessionMiddleware"
MESSAGES = "django.contrib.messages.middleware.MessageMiddleware"  # looks at no view


@pytest.mark.parametrize(
    ("order", "is_asked"),
    [
        ([OURS], False),
        ([OURS, MESSAGES], False),
        ([f"{__name__}.Looking", OURS, MESSAGES], False),
        ([OURS, f"{__name__}.Passing"], True),  # its object may look, whatever its class says
        ([OURS, MESSAGES, f"{__name__}.Looking"], True),
        ([OURS, LOGIN_REQUIRED], True),
        ([OURS, f"{__name__}.function"], True),
        ([f"{__name__}.Extended", MESSAGES, LOGIN_REQUIRED], True),
        ([MESSAGES, f"{__name__}.Looking"], True),  # not in the settings: it may stand anywhere
    ],
)
def test_it_is_asked_about_views_where_somebody_behind_it_looks_at_them(order, is_asked, settings):
    settings.MIDDLEWARE = order
    assert hasattr(DeviceSessionMiddleware(lambda request: None), "process_view") is is_asked


def test_one_that_extends_it_is_asked_whoever_stands_behind(settings, db):
    order = [f"{__name__}.Extended" if name == OURS else name for name in settings.MIDDLEWARE]
    settings.MIDDLEWARE = order[: order.index(f"{__name__}.Extended") + 1]
    answer = Client().post("/django-logout/")
    assert (answer["Location"], answer.wsgi_request.META["LOOKED_AT"]) == ("/whoami/", "yes")


def test_a_site_may_extend_the_middleware(settings, db):
    order = [f"{__name__}.Extended" if name == OURS else name for name in settings.MIDDLEWARE]
    settings.MIDDLEWARE = [*order, LOGIN_REQUIRED]
    answer = Client().post("/django-logout/")
    assert (answer["Location"], answer.wsgi_request.META["LOOKED_AT"]) == ("/whoami/", "yes")


def test_what_a_logout_shows_to_a_link_stays_behind_the_login(browser, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]
    page = "/confirmed-logout/"
    for _time in range(2):
        assert Client().get(page)["Location"] == f"{LOGIN}?next={page}"
        assert browser.get(page).content == b"Leave, admin?"
        assert Client().post(page)["Location"] == "/whoami/"


def test_no_other_page_is_opened_to_everybody(settings, db):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]
    for page in (DEVICES, END_OTHERS, "/whoami/", "/password-change/"):
        assert Client().post(page)["Location"] == f"{LOGIN}?next={page}"


@any_logout
def test_a_logout_demands_its_csrf_token_as_ever(logout, strict, browser):
    session = session_of(browser)
    for lost in ([], [ACCESS], [ACCESS, "sessionid"], [REFRESH, "sessionid"]):
        checked = Client(enforce_csrf_checks=True)
        checked.cookies = SimpleCookie(
            {name: cookie.value for name, cookie in browser.cookies.items() if name not in lost}
        )
        assert checked.post(logout).status_code == 403
    assert session_of(browser) == session


@pytest.mark.parametrize("by_session", [True, False])
def test_a_double_click_on_sign_out_needs_no_token_once_nobody_is_signed_in(
    by_session, strict, admin, password, settings
):
    """The first click flushes the Django session, and the token with it where CSRF_USE_SESSIONS is set."""
    settings.CSRF_USE_SESSIONS = by_session
    browser = Client(enforce_csrf_checks=True)

    def token(page):
        return re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(page).content)[1].decode()

    typed = {"username": "admin", "password": password, "csrfmiddlewaretoken": token(LOGIN)}
    assert browser.post(LOGIN, typed).status_code == 302
    form = {"csrfmiddlewaretoken": token(DEVICES)}
    clicked = SimpleCookie({name: cookie.value for name, cookie in browser.cookies.items()})
    for _click in range(2):
        browser.cookies = SimpleCookie(clicked)
        page = browser.post(LOGOUT, form)
        assert (page.status_code, b"You are signed out" in page.content) == (200, True)
    settings.LOGOUT_REDIRECT_URL = "/untouched/"
    assert browser.post(LOGOUT)["Location"] == "/untouched/"
    assert browser.post(LOGOUT, {"next": "/private/"})["Location"] == "/private/"
    assert browser.post(LOGOUT, {"next": "https://evil.example/"})["Location"] == "/untouched/"


def test_what_a_stranger_keeps_is_not_flushed_without_a_token(client, db):
    kept = Client(enforce_csrf_checks=True)
    session = kept.session
    session["basket"] = ["apples"]
    session.save()
    assert kept.post(LOGOUT).status_code == 200
    assert kept.session["basket"] == ["apples"]


def test_nobody_is_signed_out_by_a_link(strict, browser):
    session = session_of(browser)
    assert browser.get(LOGOUT)["Location"] == DEVICES
    assert browser.head(LOGOUT).status_code == 302
    assert session_of(browser) == session


def test_a_link_to_the_logout_leads_strangers_to_the_login(strict, db):
    page = Client().get(LOGOUT, follow=True)
    assert page.redirect_chain == [(DEVICES, 302), (f"{LOGIN}?next={DEVICES}", 302)]


@any_logout
def test_the_login_page_leads_to_no_logout(logout, admin, password, settings):
    answer = sign_in(Client(), admin, password, f"{LOGIN}?next={logout}")
    assert answer["Location"] == settings.LOGIN_REDIRECT_URL
    page = Client().get(f"{LOGIN}?next={logout}")
    assert b'name="next"' not in page.content


@pytest.mark.parametrize("login_url", ["authx:login", "sign-in"])
def test_what_ends_devices_leads_to_them_after_the_login(
    login_url, strict, browser, admin, password, settings
):
    settings.LOGIN_URL = login_url
    other = open_session(admin).session
    for late in (f"{DEVICES}{other.pk}/end/", END_OTHERS):
        end_session(session_of(browser), "kicked")
        page = follow(browser, browser.post(late), admin, password)
        assert (page.status_code, page.request["PATH_INFO"]) == (200, DEVICES)
    other.refresh_from_db()
    assert other.ended_at is None, "nothing is done that lay waiting"


def test_what_ends_devices_takes_no_other_method(browser, admin):
    other = open_session(admin).session
    for page in (f"{DEVICES}{other.pk}/end/", END_OTHERS):
        for method in ("put", "patch", "delete", "options"):
            answer = getattr(browser, method)(page)
            assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, POST")


def test_a_device_that_was_signed_out_twice_is_said_to_have_been(browser, admin):
    other = open_session(admin, device=Device(name="old phone")).session
    first, second = (browser.post(f"{DEVICES}{other.pk}/end/", follow=True) for _click in range(2))
    assert "old phone has been signed out." in first.content.decode()
    assert second.redirect_chain == [(DEVICES, 302)]
    assert "old phone had been signed out already." in second.content.decode()
    other.refresh_from_db()
    assert other.end_reason == "ended_by_user"


def test_one_that_ended_otherwise_keeps_its_reason(browser, admin):
    other = open_session(admin).session
    end_session(other, "kicked")
    assert browser.post(f"{DEVICES}{other.pk}/end/").status_code == 302
    other.refresh_from_db()
    assert (other.end_reason, other.ended_by) == ("kicked", None)


def test_another_users_session_is_missing_live_or_ended(browser, ada):
    live, ended = open_session(ada).session, open_session(ada).session
    end_session(ended, "kicked")
    answers = [browser.post(f"{DEVICES}{sid}/end/") for sid in (live.pk, ended.pk, uuid4())]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert len({answer.content.replace(answer.request["PATH_INFO"].encode(), b"") for answer in answers}) == 1
    live.refresh_from_db()
    assert live.ended_at is None
