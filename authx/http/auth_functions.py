"""What Django's ``logout`` and ``update_session_auth_hash`` do to the Django session of a request."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import HASH_SESSION_KEY
from django.http import HttpRequest

from authx.http import django_session


def keep_through_logout(request: HttpRequest) -> None:
    """Let Django's ``logout``, which flushes the Django session next, leave it alone this once."""
    store: Any = request.session

    def keep() -> None:
        del store.flush, store.aflush

    async def akeep() -> None:
        keep()

    store.flush, store.aflush = keep, akeep


def holds_new_hash(request: HttpRequest) -> bool:
    """Return whether this request may have put the hash of a password into its Django session."""
    session = getattr(request, "session", None)
    return session is not None and session.modified and bool(session.get(HASH_SESSION_KEY))


def drop_lone_hash(request: HttpRequest) -> None:
    """Drop the hash that ``update_session_auth_hash`` has stored where there is no Django login."""
    if holds_new_hash(request) and not django_session.is_present(request):
        del request.session[HASH_SESSION_KEY]
        if not request.session.keys():
            django_session.flush(request)
