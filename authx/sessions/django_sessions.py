"""The Django session that a device session is bound to, known by a keyed hash, and what its deletion ends."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import Any
from uuid import UUID

from authx.conf import secret_keys
from authx.core.derivation import keyed_hash
from authx.core.reasons import EndReason
from authx.models import DeviceSession
from authx.sessions.ending import Ending, end_together
from authx.sessions.ports import actor_of
from authx.store import database


def mark_of(session_key: str) -> str:
    """Return HMAC-SHA256 hex of a Django session's key, under SECRET_KEY."""
    return _mark(session_key, secret_keys()[0])


def is_marked_with(session: DeviceSession, session_key: str) -> bool:
    """Return whether its mark is that of this key, under SECRET_KEY or one of its fallbacks."""
    return any(session.django_session == _mark(session_key, secret) for secret in secret_keys())


def _mark(session_key: str, secret: str | bytes) -> str:
    return keyed_hash(secret, "django-session", session_key)


def rebind(sid: UUID, session_key: str) -> None:
    """Store the key of the Django session that device session ``sid`` is bound to from now on.

    Raises:
        StoreUnavailable: the database cannot be written.
    """
    mark = mark_of(session_key)
    with database.store_errors():
        DeviceSession.objects.using(database.alias()).filter(pk=sid).update(django_session=mark)


def move_mark(session_keys: Collection[str], session_key: str) -> None:
    """Store the new key of Django sessions that had one of these, wherever a device session is bound to them.

    Raises:
        StoreUnavailable: the database cannot be written.
    """
    marks = [_mark(key, secret) for key in session_keys for secret in secret_keys()]
    with database.store_errors():
        bound = DeviceSession.objects.using(database.alias()).filter(django_session__in=marks)
        bound.update(django_session=mark_of(session_key))


def end_bound_sessions(
    session_keys: Collection[str],
    reason: str = EndReason.ENDED_BY_USER,
    by: Any = None,
    *,
    request: Any = None,
) -> int:
    """End the device sessions bound to these Django sessions, which are deleted; return how many ended now.

    For a session engine without a model, which sends no signal: call it wherever the site deletes a session
    that is not the request's own. One transaction, and a handful of statements, per few hundred keys. ``by``
    is a user, or the ``Actor`` that a door has built.

    Raises:
        ValueError: ``reason`` is not an ``EndReason``.
        StoreUnavailable: the database cannot be written; some sessions may have been ended.
    """
    if not session_keys:
        return 0
    ending = Ending.of(reason, actor_of(request, by))
    secrets, left, ended = secret_keys(), iter(session_keys), 0
    live = DeviceSession.objects.using(database.alias()).live(ending.at)
    while keys := list(islice(left, database.ROWS_PER_TRANSACTION)):
        marks = [_mark(key, secret) for key in keys for secret in secrets]
        with database.store_errors():
            ended += sum(
                end_together(live.filter(django_session__in=marks), ending, database.ROWS_PER_TRANSACTION)
            )
    return ended
