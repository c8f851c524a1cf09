"""Ending sessions: once each, with one event, and announced after the commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import models

from authx import signals
from authx.models import DeviceSession, EndReason, SessionEvent
from authx.sessions import database, events
from authx.sessions.events import Actor

#: Sessions ended in one transaction: large enough to be quick, small enough not to block a login.
CHUNK = 500


def end_session(
    session: DeviceSession,
    reason: str,
    by: Any = None,
    *,
    request: Any = None,
    note: str = "",
    now: datetime | None = None,
) -> bool:
    """End one session; False if it had ended or expired already. The first writer's reason stands.

    Raises:
        StoreUnavailable: the database cannot be written; the session has not been ended.
    """
    return _end([session.pk], reason, Actor.of(by, request), note, now) == 1


def end_sessions(
    queryset: models.QuerySet[DeviceSession],
    reason: str,
    by: Any = None,
    *,
    request: Any = None,
    note: str = "",
    now: datetime | None = None,
) -> int:
    """End the live sessions of ``queryset``, in transactions of a few hundred; how many ended now.

    Raises:
        StoreUnavailable: the database cannot be written; some may have been ended.
    """
    actor = Actor.of(by, request)
    with database.store_errors():
        keys = queryset.using(database.alias()).filter(ended_at=None).order_by("pk")
        found = list(keys.values_list("pk", flat=True))
    chunks = (found[start : start + CHUNK] for start in range(0, len(found), CHUNK))
    return sum(_end(chunk, reason, actor, note, now) for chunk in chunks)


def _end(keys: Sequence[UUID], reason: str, actor: Actor, note: str, now: datetime | None) -> int:
    at = now or database.database_now()

    def write() -> int:
        ended = [key for key in keys if _mark(key, reason, actor, at)]
        record_endings(ended, reason, actor=actor, at=at, note=note)
        return len(ended)

    return database.transact(write)


def _mark(key: UUID, reason: str, actor: Actor, now: datetime) -> bool:
    """One conditional statement: whoever comes second changes nothing."""
    live = DeviceSession.objects.using(database.alias()).live(now).filter(pk=key)
    change = {"ended_at": now, "end_reason": EndReason(reason).value, "ended_by": actor.user}
    return live.update(**change) == 1


def record_endings(
    keys: Sequence[UUID], reason: str, *, at: datetime, actor: Actor | None = None, note: str = ""
) -> None:
    """Write the events of endings made in this transaction, and announce them after its commit."""
    actor = actor or Actor()
    kind = SessionEvent.Kind.ENDED
    events.write(
        *(
            events.event(DeviceSession(pk=key), kind, at=at, outcome=reason, actor=actor, note=note)
            for key in keys
        )
    )
    if keys:
        database.after_commit(lambda: _announce(keys, reason, actor.user))


def _announce(keys: Sequence[UUID], reason: str, by: Any) -> None:
    if not signals.device_session_ended.has_listeners(DeviceSession) and reason != EndReason.REUSED:
        return
    ended = DeviceSession.objects.using(database.alias()).select_related("user").in_bulk(list(keys))
    for session in ended.values():
        signals.device_session_ended.send_robust(DeviceSession, session=session, reason=reason, by=by)
        if reason == EndReason.REUSED:
            signals.refresh_reused.send_robust(DeviceSession, session=session)
