"""The key of the Django session stands at the device session that it is bound to, also when it changes."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.http import HttpRequest

from authx.http import django_session, session_key
from authx.http.request_state import RequestState
from authx.identity.identity import Identity
from authx.models import DeviceSession
from authx.sessions.django_sessions import is_marked_with, rebind
from authx.store.after_transaction import run_even_on_rollback


def renew_key(request: HttpRequest) -> str | None:
    """Store the Django session under a new key, and return it: for a device session that is opened now."""
    session_key.renew_key(request)
    session_key.add_key(request)
    return session_key.stored_key(request)


def mark_binding(request: HttpRequest, session: DeviceSession) -> None:
    """Store the key of the Django session, if it is bound to ``session`` under another one than that knows.

    One bound after the login, by an earlier release, or under a SECRET_KEY that is gone: one statement, once.
    """
    key = session_key.stored_key(request)
    is_bound = key is not None and django_session.bound_to(request) == str(session.pk)
    if key is not None and is_bound and not is_marked_with(session, key):
        run_even_on_rollback(partial(rebind, session.pk, key))


def follow_key(request: HttpRequest, identity: Identity, state: RequestState) -> None:
    """Store the key that the Django session has got in this request, by ``cycle_key`` or with its binding.

    Raises:
        StoreUnavailable: the database cannot be written.
    """
    key = session_key.stored_key(request)
    if key is None or key in state.django_keys:
        return
    bound, session = django_session.bound_to(request), identity.session
    is_known = session is not None and str(session.pk) == bound and is_marked_with(session, key)
    if bound and not is_known:
        rebind(UUID(bound), key)
