"""Step-up: the user has just proved again who they are, in a session that goes on."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from authx.core.actor import NOBODY, Actor
from authx.core.auth_time import is_within
from authx.core.reasons import EndReason
from authx.errors import SessionEnded
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit
from authx.sessions.liveness import end_of
from authx.sessions.lookup import find_by_sid
from authx.store import database


def is_recent(session: DeviceSession | None, max_age: timedelta | None) -> bool:
    """Return whether the session's user authenticated within ``max_age``; None requires nothing."""
    if max_age is None:
        return True
    now = timezone.now().timestamp()
    return session is not None and is_within(max_age, session.auth_time.timestamp(), now)


def record_proof(session: DeviceSession, actor: Actor = NOBODY) -> None:
    """Set ``auth_time`` to now (RFC 9068 §2.2.1).

    Raises:
        SessionEnded: the session ended meanwhile.
        StoreUnavailable: the database cannot be written.
    """
    at = database.database_now()

    def write() -> bool:
        live = DeviceSession.objects.using(database.alias()).live(at).filter(pk=session.pk)
        if not live.update(auth_time=at):
            return False
        audit.record(SessionEvent.Kind.REAUTHENTICATED, session, at=at, actor=actor)
        return True

    if not database.transact(write):
        found = find_by_sid(session.pk)
        raise SessionEnded((found and end_of(found, at)) or EndReason.EXPIRED.value)
    session.auth_time = at
