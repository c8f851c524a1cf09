"""authx.checks and authx.contrib.moving: what a site that moves in has to say, and what it takes out."""

from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest
from django.urls import path
from rest_framework.authentication import BasicAuthentication, TokenAuthentication
from rest_framework.views import APIView

from authx.checks.session_apps import check_session_apps
from authx.contrib.moving.checks import check_moving
from authx.contrib.moving.jwt_cookies import CookieMiddleware
from authx.contrib.moving.token_access import AuthTokenAuthentication

COOKIES = "authx.contrib.moving.jwt_cookies.CookieMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
LATER = datetime(2999, 12, 31, tzinfo=UTC)


class BlacklistingCookies(CookieMiddleware):
    blacklists = True


def ids(messages):
    return [message.id.removeprefix("authx.") for message in messages]


def test_a_site_that_moves_says_until_when(settings):
    assert ids(check_moving()) == ["E050"]
    settings.AUTHX_MOVING_UNTIL = LATER
    assert check_moving() == []
    settings.AUTHX_MOVING_UNTIL = datetime.now(UTC) - timedelta(days=1)
    settings.MIDDLEWARE = [settings.MIDDLEWARE[0], COOKIES, *settings.MIDDLEWARE[1:]]
    (message,) = check_moving()
    assert message.id == "authx.W050"
    assert COOKIES in message.hint


def test_once_it_is_over_it_names_what_the_move_has_put_anywhere(settings):
    settings.AUTHX_MOVING_UNTIL = datetime.now(UTC) - timedelta(days=1)
    handler = "authx.contrib.moving.jwt_access.exception_handler"
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "EXCEPTION_HANDLER": handler}
    settings.USERSESSIONS_ADAPTER = "authx.contrib.moving.allauth_usersessions.Adapter"
    settings.SESSION_ENGINE = "user_sessions.backends.db"
    (message,) = check_moving()
    for name in (handler, settings.USERSESSIONS_ADAPTER, settings.SESSION_ENGINE):
        assert name in message.hint


def test_a_site_without_time_zones_is_told_so_and_by_nothing_else(settings):
    from authx.checks import check_together

    settings.USE_TZ, settings.AUTHX_MOVING_UNTIL = False, LATER
    assert check_moving() == []
    assert "E008" in ids(check_together())


@pytest.mark.parametrize("value", ["2999-12-31", datetime(2999, 12, 31), timedelta(days=1), 0, False])
def test_a_date_is_an_aware_datetime(value, settings):
    from authx.checks import check_settings

    settings.AUTHX_MOVING_UNTIL = value
    assert ids(check_settings()) == ["E001"]
    assert check_moving() == []


@pytest.mark.parametrize(("place", "found"), [(0, ["E051"]), (1, []), (-1, ["E051"])])
def test_the_middleware_stands_between_two_of_djangos(place, found, settings):
    settings.AUTHX_MOVING_UNTIL = LATER
    order = list(settings.MIDDLEWARE)
    for name in (COOKIES, f"{__name__}.BlacklistingCookies"):
        settings.MIDDLEWARE = [*order[:place], name, *order[place:]] if place >= 0 else [*order, name]
        assert ids(check_moving()) == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("rest_framework_simplejwt.authentication.JWTAuthentication", ["W054"]),
        ("knox.auth.TokenAuthentication", ["W054"]),
        ("rest_framework.authentication.TokenAuthentication", ["W054"]),
        ("dj_rest_auth.jwt_auth.JWTCookieAuthentication", ["W054"]),
        ("authx.contrib.moving.jwt_access.SimpleJWTAuthentication", []),
        ("site.authentication.Own", []),
    ],
)
def test_old_classes_that_no_kick_reaches(name, found, settings):
    settings.AUTHX_MOVING_UNTIL = LATER
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [name]}
    assert ids(check_moving()) == found


class Derived(TokenAuthentication):
    keyword = "Bearer"


class DerivedFromOurs(AuthTokenAuthentication):
    pass


@pytest.mark.parametrize(
    ("kind", "found"),
    [(TokenAuthentication, ["W054"]), (Derived, ["W054"]), (DerivedFromOurs, []), (BasicAuthentication, [])],
)
def test_they_are_found_in_views_and_in_what_is_derived_from_them(kind, found, settings):
    settings.AUTHX_MOVING_UNTIL = LATER
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [f"{__name__}.{kind.__name__}"]}
    assert ids(check_moving()) == found
    settings.REST_FRAMEWORK = {}
    for classes in ([kind], (BasicAuthentication, kind)):
        view = APIView.as_view(authentication_classes=classes)
        settings.ROOT_URLCONF = urls = ModuleType("urls_of_old_classes")
        urls.urlpatterns = [path("old/", view), path("again/", view)]
        assert ids(check_moving()) == found


def test_the_old_packages_own_views_are_theirs(settings):
    settings.AUTHX_MOVING_UNTIL = LATER
    theirs = type("LogoutView", (APIView,), {"authentication_classes": [TokenAuthentication]})
    theirs.__module__ = "knox.views"
    settings.ROOT_URLCONF = urls = ModuleType("urls_of_old_views")
    urls.urlpatterns = [path("logout/", theirs.as_view())]
    assert ids(check_moving()) == []


def test_a_site_with_djangos_sessions_alone_hears_nothing(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    assert check_session_apps() == []


@pytest.fixture
def installed(monkeypatch):
    """Say which apps there are: some cannot be installed side by side."""

    def install(*names):
        monkeypatch.setattr("authx.checks.session_apps.apps.is_installed", lambda name: name in names)

    return install


MOVING = "authx.contrib.moving"


@pytest.mark.parametrize("app", ["user_sessions", "allauth.usersessions", "qsessions"])
def test_another_list_disagrees_with_ours_unless_it_is_kept_in_step(app, installed, settings):
    settings.USERSESSIONS_TRACK_ACTIVITY = True
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "allauth.usersessions.middleware.UserSessionsMiddleware"]
    installed(app)
    (message,) = check_session_apps()
    assert message.id == "authx.W052"
    assert "INSTALLED_APPS" in message.hint
    installed(app, MOVING)
    assert ids(check_session_apps()) == (["W052"] if app == "qsessions" else [])


@pytest.mark.parametrize("engine", ["cache", "file", "signed_cookies"])
def test_an_engine_without_a_table_tells_nobody(engine, installed, settings):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    installed("user_sessions", MOVING)
    assert ids(check_session_apps()) == ["W051"]
    installed("allauth.usersessions", MOVING)
    assert ids(check_session_apps()) == ["W051", "W053"]


@pytest.mark.parametrize(
    "engine", ["django.contrib.sessions.backends.db", "no.such.engine", "user_sessions.backends.db"]
)
def test_one_with_a_table_does_or_is_djangos_to_report(engine, installed, settings):
    settings.SESSION_ENGINE = engine
    installed("user_sessions", MOVING)
    assert check_session_apps() == []
