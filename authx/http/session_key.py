"""The key of a browser's Django session: the row of the session table that its cookie names."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from authx.http.request_state import request_state
from authx.http.session_deletions import ending_nothing


def key_of(request: HttpRequest) -> str | None:
    """Return the key of the Django session, valid or not, without loading it; None without a session."""
    key: str | None = getattr(getattr(request, "session", None), "session_key", None)
    return key


def stored_key(request: HttpRequest) -> str | None:
    """Return the key under which the Django session is stored, without loading it; None where none is.

    With ``signed_cookies`` the key is the content: a copy of it could be adopted again and again.
    """
    key = key_of(request)
    return None if not key or settings.SESSION_ENGINE.endswith("signed_cookies") else key


def add_key(request: HttpRequest) -> None:
    """Remember that the key of its Django session is the request's own, also when it has another one."""
    if key := key_of(request):
        state = request_state(request)
        state.django_keys = *state.django_keys, key


def renew_key(request: HttpRequest) -> None:
    """Store the data of the Django session under a new key; its first one, where it has none yet."""
    with ending_nothing():
        request.session.cycle_key()
