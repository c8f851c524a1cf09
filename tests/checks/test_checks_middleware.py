"""authx.checks.middleware: an order that the checks accept works, and one that does not work is refused."""

from itertools import permutations

import pytest
from django.contrib.auth.middleware import AuthenticationMiddleware, LoginRequiredMiddleware
from django.test import Client

from authx.checks.middleware import MIDDLEWARE, check_middleware, check_pages
from authx.models import DeviceSession
from authx.pages.middleware import DeviceSessionMiddleware
from authx.sessions import end_sessions

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"
REMOTE_USER = "django.contrib.auth.middleware.RemoteUserMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"
MESSAGES = "django.contrib.messages.middleware.MessageMiddleware"
UPDATE = "django.middleware.cache.UpdateCacheMiddleware"
FETCH = "django.middleware.cache.FetchFromCacheMiddleware"
CORE = [SESSIONS, AUTHENTICATION, MIDDLEWARE]
HERE = "tests.checks.test_checks_middleware"


class OwnAuthentication(AuthenticationMiddleware):
    """A site's own."""


class OwnLoginRequired(LoginRequiredMiddleware):
    pass


class OwnDeviceSessions(DeviceSessionMiddleware):
    pass


def made_by_a_function(get_response):
    return get_response


def ids():
    return [message.id for message in check_middleware()]


def works(password):
    """Whether somebody signs in, is known to be in a session, and is signed out by its end."""
    browser = Client(raise_request_exception=False)
    browser.post("/account/login/", {"username": "ada", "password": password})
    known = browser.get("/whoami/")
    if known.status_code != 200 or known.json()["user"] != "ada" or known.json()["session"] is None:
        return False
    end_sessions(DeviceSession.objects.live(), "kicked")
    answer = browser.get("/whoami/")
    return answer.status_code == 302 or (answer.status_code == 200 and answer.json()["user"] is None)


@pytest.mark.django_db
def test_what_the_checks_accept_works_in_every_order(settings, ada, password, caplog):
    kinds = [SESSIONS, AUTHENTICATION, MIDDLEWARE, LOGIN_REQUIRED, LOCALE]
    accepted = []
    for order in permutations(kinds):
        settings.MIDDLEWARE = list(order)
        if not any(found.startswith("authx.E") for found in ids()):
            accepted.append(order)
    assert len(accepted) == 4
    for order in accepted:
        settings.MIDDLEWARE = [*order, MESSAGES]
        assert works(password), order


@pytest.mark.parametrize("order", [[AUTHENTICATION, MIDDLEWARE], [AUTHENTICATION, MIDDLEWARE, SESSIONS]])
def test_e054_the_django_session_comes_before_who_reads_it(order, settings):
    settings.MIDDLEWARE = order
    assert ids() == ["authx.E054"]


@pytest.mark.parametrize(
    "own", ["user_sessions.middleware.SessionMiddleware", "site.middleware.OwnSessionMiddleware"]
)
def test_e054_another_session_middleware_will_do(own, settings):
    settings.MIDDLEWARE = [own, AUTHENTICATION, MIDDLEWARE]
    assert ids() == []


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ([UPDATE, *CORE, FETCH], []),
        ([*CORE, UPDATE, FETCH], ["authx.E055"]),
        ([UPDATE, *CORE, UPDATE], ["authx.E055"]),
    ],
    ids=["first", "behind", "twice"],
)
def test_e055_who_stores_pages_comes_first(order, found, settings):
    settings.MIDDLEWARE = order
    assert ids() == found


@pytest.mark.django_db
@pytest.mark.parametrize("order", [[UPDATE, *CORE, FETCH], [*CORE, UPDATE, FETCH]], ids=["first", "behind"])
def test_e055_is_about_a_page_that_another_visitor_would_see(order, settings, ada, password):
    settings.MIDDLEWARE = order
    settings.CACHE_MIDDLEWARE_KEY_PREFIX = str(len(order[0]))
    browser = Client()
    browser.post("/account/login/", {"username": "ada", "password": password})
    browser.get("/whoami/")
    browser.get("/whoami/")
    leaks = Client().get("/whoami/").json()["user"] == "ada"
    assert leaks is bool(ids())


def test_e055_djangos_both_in_one_stores_too(settings):
    settings.MIDDLEWARE = [*CORE, "django.middleware.cache.CacheMiddleware"]
    (message,) = check_middleware()
    assert (message.id, message.msg.split()[0]) == ("authx.E055", "django.middleware.cache.CacheMiddleware")


def test_e057_ours_twice(settings):
    settings.MIDDLEWARE = [*CORE, MESSAGES, MIDDLEWARE]
    assert ids() == ["authx.E057"]


@pytest.mark.parametrize(
    "late",
    [
        "allauth.usersessions.middleware.UserSessionsMiddleware",
        "django_otp.middleware.OTPMiddleware",
        "hijack.middleware.HijackUserMiddleware",
        f"{HERE}.OwnLoginRequired",
    ],
)
def test_e010_other_packages_and_derived_classes_ask_for_the_user_too(late, settings):
    settings.MIDDLEWARE = [SESSIONS, late, AUTHENTICATION, MIDDLEWARE]
    (message,) = check_middleware()
    assert (message.id, message.msg.split()[0]) == ("authx.E010", late)
    settings.MIDDLEWARE = [*CORE, late]
    assert ids() == []


def test_derived_classes_count_as_those_that_they_derive_from(settings):
    settings.MIDDLEWARE = [SESSIONS, f"{HERE}.OwnAuthentication", f"{HERE}.OwnDeviceSessions"]
    assert ids() == []
    settings.MIDDLEWARE = [SESSIONS, f"{HERE}.OwnAuthentication", MESSAGES, f"{HERE}.OwnDeviceSessions"]
    assert ids() == ["authx.E009"]


@pytest.mark.parametrize("other", [f"{HERE}.made_by_a_function", "no.such.middleware"])
def test_what_is_no_class_is_none_of_these(other, settings):
    settings.MIDDLEWARE = [other, *CORE, other]
    assert ids() == []


def test_w056_the_language_is_known_before_our_own_pages_are_made(settings):
    settings.MIDDLEWARE = [*CORE, LOCALE]
    assert ids() == ["authx.W056"]
    settings.MIDDLEWARE = [SESSIONS, LOCALE, AUTHENTICATION, MIDDLEWARE]
    assert ids() == []


def test_e056_our_pages_without_the_middleware(settings):
    settings.MIDDLEWARE = [SESSIONS, AUTHENTICATION]
    assert [message.id for message in check_pages()] == ["authx.E056"]
    settings.MIDDLEWARE = [SESSIONS, AUTHENTICATION, f"{HERE}.OwnDeviceSessions"]
    assert check_pages() == []


@pytest.mark.parametrize("urlconf", ["tests.without_pages_urls", "no.such.urls"])
def test_e056_a_site_without_our_pages_may_do_without(urlconf, settings):
    settings.ROOT_URLCONF = urlconf
    settings.MIDDLEWARE = []
    assert check_pages() == []


@pytest.mark.django_db
def test_e056_is_about_an_ended_session_that_pages_would_not_see(settings, ada, password):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != MIDDLEWARE]
    browser = Client()
    browser.post("/account/login/", {"username": "ada", "password": password})
    end_sessions(DeviceSession.objects.live(), "kicked")
    assert browser.get("/account/devices/").status_code == 200


def test_a_worker_without_urls_can_be_checked(settings):
    settings.MIDDLEWARE = []
    del settings.ROOT_URLCONF
    assert check_pages() == []
