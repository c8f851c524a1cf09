"""System checks of the place of our middleware, and of what must not stand on the wrong side of it."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from authx.checks.mounted import is_mounted

MIDDLEWARE: Final = "authx.pages.middleware.DeviceSessionMiddleware"
_AUTHENTICATION: Final = "django.contrib.auth.middleware.AuthenticationMiddleware"
_SESSIONS: Final = "django.contrib.sessions.middleware.SessionMiddleware"
_LOCALE: Final = "django.middleware.locale.LocaleMiddleware"
#: They ask for the user, or change it.
_MUST_FOLLOW: Final = (
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.auth.middleware.RemoteUserMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "hijack.middleware.HijackUserMiddleware",
)
#: It stores a response, under a key that is made of the headers that it varies on.
_STORING: Final = "django.middleware.cache.UpdateCacheMiddleware"


def check_middleware(**kwargs: Any) -> list[CheckMessage]:
    """Demand DeviceSessionMiddleware directly after AuthenticationMiddleware, before any use of the user."""
    order = list(settings.MIDDLEWARE)
    places = places_in(order, MIDDLEWARE)
    if not places:
        return []  # a site may use the API alone
    place = places[0]
    hint = f"Put {MIDDLEWARE} directly after {_AUTHENTICATION}."
    if place - 1 not in places_in(order, _AUTHENTICATION):
        text = "DeviceSessionMiddleware does not stand directly after AuthenticationMiddleware."
        return [Error(text, hint=hint, id="authx.E009")]
    early = [order[number] for name in _MUST_FOLLOW for number in places_in(order[:place], name)]
    found: list[CheckMessage] = [
        Error(f"{name} stands before DeviceSessionMiddleware.", hint=hint, id="authx.E010") for name in early
    ]
    if len(places) > 1:
        text = "DeviceSessionMiddleware stands in MIDDLEWARE twice."
        found.append(Error(text, hint="Leave the first one.", id="authx.E057"))
    return [*found, *_sessions(order[:place]), *_caches(order[place:]), *_languages(order[place:])]


def check_pages(**kwargs: Any) -> list[CheckMessage]:
    """Demand the middleware where our pages are mounted."""
    if places_in(list(settings.MIDDLEWARE), MIDDLEWARE) or not is_mounted("authx:login"):
        return []
    text = "authx.pages.urls is mounted, and DeviceSessionMiddleware is not in MIDDLEWARE."
    hint = f"Put {MIDDLEWARE} directly after {_AUTHENTICATION}: pages would not see that a session ended."
    return [Error(text, hint=hint, id="authx.E056")]


def _sessions(before: list[str]) -> list[CheckMessage]:
    if any(name.endswith("SessionMiddleware") for name in before) or places_in(before, _SESSIONS):
        return []
    text = "No SessionMiddleware stands before AuthenticationMiddleware, which reads the Django session."
    return [Error(text, hint=f"Put {_SESSIONS} before it.", id="authx.E054")]


def _caches(behind: list[str]) -> list[CheckMessage]:
    late = [behind[number] for number in places_in(behind, _STORING)]
    text = "stands behind DeviceSessionMiddleware: one visitor's pages are stored for all."
    hint = "Put it first: it has to see Vary: Cookie, which DeviceSessionMiddleware adds on the way out."
    return [Error(f"{name} {text}", hint=hint, id="authx.E055") for name in late]


def _languages(behind: list[str]) -> list[CheckMessage]:
    if not places_in(behind, _LOCALE):
        return []
    text = "LocaleMiddleware stands behind DeviceSessionMiddleware, whose own pages do not know the language."
    return [Warning(text, hint="Put it directly after SessionMiddleware.", id="authx.W056")]


def places_in(order: list[str], name: str) -> list[int]:
    """Return where a class stands in MIDDLEWARE, or one that is derived from it."""
    return [number for number, path in enumerate(order) if path == name or _is_derived(path, name)]


def _is_derived(path: str, name: str) -> bool:
    if not name.startswith(("django.", "authx.")):  # another package may be there and not in use
        return False
    try:
        return issubclass(import_string(path), import_string(name))
    except (ImportError, TypeError):  # reported by Django; and a function is derived from nothing
        return False
