"""System checks of apps that list Django sessions, beside our list of devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.backends import cache, file, signed_cookies
from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

#: Each app, and what a site takes out that needs it no longer.
_APPS: Final = {
    "user_sessions": "its SessionMiddleware, its SESSION_ENGINE and its URLs: Django's own take their place",
    "qsessions": "its SessionMiddleware, its SESSION_ENGINE and its URLs: Django's own take their place",
    "allauth.usersessions": "UserSessionsMiddleware, its URLs and USERSESSIONS_ADAPTER",
}
_MOVING: Final = "authx.contrib.moving"
_ADAPTER: Final = f"{_MOVING}.allauth_usersessions.Adapter"
_TRACKING: Final = "allauth.usersessions.middleware.UserSessionsMiddleware"
#: What keeps such a list in step with ours.
_IN_STEP: Final = {"user_sessions", "allauth.usersessions"}
#: Engines that store sessions in no table.
_WITHOUT_TABLE: Final = cache.SessionStore, file.SessionStore, signed_cookies.SessionStore


def check_session_apps(**kwargs: Any) -> list[CheckMessage]:
    """Say which other list of devices there is, whether it and ours agree, and what is to be taken out."""
    return [message for app in _APPS if apps.is_installed(app) for message in _about(app)]


def _about(app: str) -> Iterator[CheckMessage]:
    if _is_without_table() and not (app == "allauth.usersessions" and _tells_us()):
        text = f"{app} ends sessions of {settings.SESSION_ENGINE}, which tells nobody: their devices stay."
        hint = "Use an engine that stores sessions in the database."
        if app == "allauth.usersessions":
            hint = f'Set USERSESSIONS_ADAPTER = "{_ADAPTER}", or use an engine with a table.'
        yield Warning(text, hint=hint, id="authx.W051")
    if app not in _IN_STEP or not apps.is_installed(_MOVING):
        text = f"{app} lists devices beside ours, and goes on listing those that are ended here."
        in_step = f" Until then, {_MOVING} keeps the two in step." if app in _IN_STEP else ""
        hint = f"Take it out of INSTALLED_APPS, with {_APPS[app]}.{in_step}"
        yield Warning(text, hint=hint, id="authx.W052")
    if app == "allauth.usersessions" and not _tracks():
        text = f"{app} loses a device whose session key changes, as at a step-up or a password change."
        hint = f"Add {_TRACKING} to MIDDLEWARE, and set USERSESSIONS_TRACK_ACTIVITY = True."
        yield Warning(text, hint=hint, id="authx.W053")


def _is_without_table() -> bool:
    store = _imported(f"{settings.SESSION_ENGINE}.SessionStore")
    return isinstance(store, type) and issubclass(store, _WITHOUT_TABLE)


def _tells_us() -> bool:
    adapter = _imported(getattr(settings, "USERSESSIONS_ADAPTER", None) or "")
    return any(
        f"{kind.__module__}.{kind.__qualname__}" == _ADAPTER for kind in getattr(adapter, "__mro__", ())
    )


def _tracks() -> bool:
    return _TRACKING in settings.MIDDLEWARE and bool(getattr(settings, "USERSESSIONS_TRACK_ACTIVITY", False))


def _imported(path: str) -> Any:
    try:
        return import_string(path)
    except (ImportError, RuntimeError, ImproperlyConfigured):  # of a model whose app is not installed, too
        return None  # Django, or the package, reports it itself
