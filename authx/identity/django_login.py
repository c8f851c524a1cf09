"""A Django login as we see it: its user, whether to bind it, and how it is adopted only once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user, load_backend
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from authx.conf import DottedPath, conf
from authx.core.derivation import keyed_hash
from authx.http import django_session
from authx.http.django_session import BOUND_KEY
from authx.http.request_state import request_state
from authx.http.session_key import stored_key
from authx.models import DeviceSession


def own_user(request: HttpRequest) -> Any:
    """Return the user of the Django session by Django's own rules; anonymous if it has none."""
    return get_user(request) if django_session.is_present(request) else AnonymousUser()


def show(request: HttpRequest, session: DeviceSession) -> None:
    """Show the login of ``session`` in the Django session, for apps that look there for who is signed in."""
    backend = session.backend or _any_backend()
    if backend and not django_session.is_present(request):
        django_session.show_login(request, session.user, str(session.pk), backend)
    request_state(request).has_login = holds_login(request)


def show_later(request: HttpRequest, sid: str) -> None:
    """Hold the place of the login that ``show`` shows, until the row of session ``sid`` has been read.

    So a view that empties the Django session signs out here, too.
    """
    if not django_session.is_present(request):
        django_session.show_binding(request, sid)
    request_state(request).has_login = holds_login(request)


def holds_login(request: HttpRequest) -> bool:
    """Return whether the Django session holds or shows a login, or is bound, which holds the place of one."""
    store: Any = getattr(request, "session", ())
    return SESSION_KEY in store or (BOUND_KEY in store and bool(store[BOUND_KEY]))


def _any_backend() -> str:
    """Return the path of the first backend that can read users; ``""`` if there is none."""
    paths = settings.AUTHENTICATION_BACKENDS
    return next((path for path in paths if hasattr(load_backend(path), "get_user")), "")


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
