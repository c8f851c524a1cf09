"""System checks of a site that is moving in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from authx import clocks
from authx.checks.authentication import name_of, places
from authx.checks.delegated_views import callbacks
from authx.checks.middleware import places_in
from authx.conf import Conf

_COOKIES: Final = "authx.contrib.moving.jwt_cookies.CookieMiddleware"
_SESSION: Final = "SessionMiddleware"
_AUTHENTICATION: Final = "django.contrib.auth.middleware.AuthenticationMiddleware"

_STATELESS: Final = "rest_framework_simplejwt.authentication.JWTStatelessUserAuthentication"

#: Classes whose credentials nothing ends here, and what stands in for them.
_UNENDED: Final = {
    "rest_framework_simplejwt.authentication.JWTAuthentication": "jwt_access.SimpleJWTAuthentication",
    _STATELESS: "jwt_access.SimpleJWTAuthentication",
    "dj_rest_auth.jwt_auth.JWTCookieAuthentication": "jwt_access.SimpleJWTAuthentication",
    "knox.auth.TokenAuthentication": "knox_access.KnoxAuthentication",
    "rest_framework.authentication.TokenAuthentication": "token_access.AuthTokenAuthentication",
}
#: Beginnings of the names under which the old packages stand in a site's settings.
_OLD: Final = (
    *("authx.contrib.moving", "rest_framework_simplejwt", "rest_framework.authtoken", "knox"),
    *("dj_rest_auth.jwt_auth", "user_sessions", "allauth.usersessions"),
    "rest_framework.authentication.TokenAuthentication",
)


def check_moving(**kwargs: Any) -> list[CheckMessage]:
    """Demand a date at which the move is over, and say so once it is; look at what stands beside ours."""
    if Conf.MOVING_UNTIL.complaint():
        return []  # reported by check_settings
    return [*_until(), *_middleware(), *_classes(), *_views()]


def _until() -> Iterator[CheckMessage]:
    until = Conf.MOVING_UNTIL.configured()
    if until is None:
        text = "authx.contrib.moving is installed, and nothing says until when it takes old credentials."
        hint = "Set AUTHX_MOVING_UNTIL: the latest of them expires then, or its user signs in again."
        yield Error(text, hint=hint, id="authx.E050")
    elif until.timestamp() <= clocks.time():  # not ``timezone.now``, which is naive where USE_TZ is reported
        text = "AUTHX_MOVING_UNTIL has passed: authx.contrib.moving takes no old credential any more."
        hint = f"Take out, with the views and the tables: {', '.join(_left())}."
        yield Warning(text, hint=hint, id="authx.W050")


def _left() -> list[str]:
    """Return what is left of the move in the settings."""
    named = [*settings.INSTALLED_APPS, *settings.MIDDLEWARE, *_default_classes(), *_other_names()]
    return [name for name in named if isinstance(name, str) and name.startswith(_OLD)]


def _other_names() -> list[Any]:
    """Return what the settings that hold one name each say, and that a move has changed or is to change."""
    drf = getattr(settings, "REST_FRAMEWORK", None) or {}
    adapter = getattr(settings, "USERSESSIONS_ADAPTER", None)
    return [drf.get("EXCEPTION_HANDLER"), adapter, settings.SESSION_ENGINE]


def _middleware() -> Iterator[CheckMessage]:
    order = list(settings.MIDDLEWARE)
    places = places_in(order, _COOKIES)
    if not places:
        return
    before = order[: places[0]]
    if places_in(before, _AUTHENTICATION) or not any(name.endswith(_SESSION) for name in before):
        text = "CookieMiddleware does not stand between SessionMiddleware and AuthenticationMiddleware."
        hint = f"Put {_COOKIES} directly before {_AUTHENTICATION}: whom it signs in is asked behind it."
        yield Error(text, hint=hint, id="authx.E051")


def _classes() -> Iterator[CheckMessage]:
    """Look at the classes of the settings, and of each view that is not an old package's own."""
    found = {
        name_of(kind): old
        for place, kinds in places()
        if not place.startswith(_OLD)
        for kind in kinds
        if (old := _unended(kind)) is not None
    }
    for name, old in found.items():
        text = f"{name} takes old credentials that no kick, password or date ends here."
        hint = f"Put authx.contrib.moving.{_UNENDED[old]} in its place."
        yield Warning(text, hint=hint, id="authx.W054")


def _unended(found: Any) -> str | None:
    """Return the class of an old package that this one is, or is derived from; None if it is none or ours."""
    names = [name_of(kind) for kind in getattr(_imported(found), "__mro__", [found])]
    if any(name.startswith("authx.contrib.moving.") for name in names):
        return None
    return next((name for name in names if name in _UNENDED), None)


def _imported(found: Any) -> Any:
    with suppress(Exception):  # the site's code, or a package whose app is not installed: reported by others
        return import_string(found) if isinstance(found, str) else found
    return None


def _views() -> Iterator[CheckMessage]:
    """Yield what our views have to say about clients that a site without rotation may have."""
    hint = (
        "Let clients store the refresh of every answer. Until the last of them does, keep the old login, and "
        "mount Refresh.as_view(reusable=True)."
    )
    found = dict.fromkeys(map(_complaint, callbacks()))
    yield from (Warning(text, hint=hint, id="authx.W055") for text in found if text)


def _complaint(callback: Any) -> str:
    kind: Any = getattr(callback, "cls", None)
    if not hasattr(kind, "complaint_of_clients"):
        return ""
    return str(kind(**callback.initkwargs).complaint_of_clients())


def _default_classes() -> list[str]:
    drf = getattr(settings, "REST_FRAMEWORK", None) or {}
    found = drf.get("DEFAULT_AUTHENTICATION_CLASSES") or []
    return [name_of(kind) for kind in found]
