"""A Django login as we see it: its user, whether to bind it, and how it is adopted only once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from authx.conf import DottedPath, conf
from authx.core.derivation import keyed_hash
from authx.http import django_session
from authx.http.session_key import stored_key
from authx.models import DeviceSession


def own_user(request: HttpRequest) -> Any:
    """Return the user of the Django session by Django's own rules; anonymous if it has none."""
    return get_user(request) if django_session.is_present(request) else AnonymousUser()


def wants_device_session(request: HttpRequest, user: Any) -> bool:
    """Return whether AUTHX_BIND_DJANGO_LOGIN wants a device session for this login.

    A user of another model than the site's, as in tests that swap AUTH_USER_MODEL, cannot have one.
    """
    model: Any = DeviceSession._meta.get_field("user").related_model
    if not isinstance(user, model._meta.concrete_model):
        return False
    wanted = conf.BIND_DJANGO_LOGIN
    return bool(wanted(request, user) if isinstance(wanted, DottedPath) else wanted)


def adoption_mark(request: HttpRequest) -> str | None:
    """Return HMAC-SHA256 hex of the Django session's key; None where it is stored under none."""
    key = stored_key(request)
    return None if key is None else keyed_hash(settings.SECRET_KEY, "adoption", key)
