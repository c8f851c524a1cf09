"""System check of the place of our middleware."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

MIDDLEWARE = "authx.pages.middleware.DeviceSessionMiddleware"
_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
_MUST_FOLLOW = (
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.auth.middleware.RemoteUserMiddleware",
    "django.contrib.auth.middleware.PersistentRemoteUserMiddleware",
)


def check_middleware(**kwargs: Any) -> list[CheckMessage]:
    """Demand DeviceSessionMiddleware directly after AuthenticationMiddleware, before any use of the user."""
    order = list(settings.MIDDLEWARE)
    if MIDDLEWARE not in order:
        return []  # a site may use the API alone
    place = order.index(MIDDLEWARE)
    hint = f"Put {MIDDLEWARE} directly after {_AUTHENTICATION}."
    if place == 0 or order[place - 1] != _AUTHENTICATION:
        text = "DeviceSessionMiddleware does not stand directly after AuthenticationMiddleware."
        return [Error(text, hint=hint, id="authx.E009")]
    early = [name for name in _MUST_FOLLOW if name in order[:place]]
    return [
        Error(f"{name} stands before DeviceSessionMiddleware.", hint=hint, id="authx.E010") for name in early
    ]
