"""The audit trail: one row per state change, written in the transaction of that change."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from authx.core.actor import NOBODY, Actor
from authx.core.device import clean_text
from authx.core.user_model import username_of
from authx.models import DeviceSession, SessionEvent
from authx.store import database
from authx.store.compiled_insert import CompiledInsert

#: Nearly every act writes one event.
APPENDING: Final = CompiledInsert(SessionEvent)


def event(
    session: DeviceSession | None,
    kind: SessionEvent.Kind,
    *,
    at: datetime,
    outcome: str = "",
    actor: Actor = NOBODY,
    note: str = "",
    subject: str = "",
    other: Actor = NOBODY,
) -> SessionEvent:
    """Return an event, not yet written; ``subject`` names the account where there is no session.

    ``other`` is the second of the two places that a copied session is used from.

    If the session's user has been deleted, the actor is left out: their data is erased, and it stays unknown
    where their devices come back from.
    """
    if session is not None and is_gone(session):
        actor, other = Actor(client_id=actor.client_id), NOBODY
    return SessionEvent(
        session=session,
        subject=subject,
        kind=kind,
        outcome=outcome,
        at=at,
        actor=actor.user,
        actor_label=clean_text(username_of(actor.user), 150) if actor.user else "",
        client_id=actor.client_id,
        ip=actor.ip,
        user_agent=actor.user_agent,
        other_ip=other.ip,
        other_user_agent=other.user_agent,
        note=clean_text(note, 255) if note else "",
    )


def is_gone(session: DeviceSession) -> bool:
    """Return whether the row's user has been deleted; False also for a row that has not been read.

    A service's session never had one, and what its client does is nobody's personal data.
    """
    return bool(session.subject) and session.user_id is None and not session.is_of_a_service


def write(*events: SessionEvent) -> None:
    """Append events; the caller has opened the transaction that they belong to."""
    if len(events) == 1:
        APPENDING.run(events[0])
    else:
        SessionEvent.objects.using(database.alias()).bulk_create(events)


def record(
    kind: SessionEvent.Kind,
    *sessions: DeviceSession | None,
    at: datetime,
    outcome: str = "",
    actor: Actor = NOBODY,
    note: str = "",
    subject: str = "",
) -> None:
    """Append the same event for each of ``sessions``, in the caller's transaction."""
    write(
        *(
            event(session, kind, at=at, outcome=outcome, actor=actor, note=note, subject=subject)
            for session in sessions
        )
    )
