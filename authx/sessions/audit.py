"""The audit trail: one row per state change, written in the transaction of that change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from authx.conf import conf
from authx.core.device import clean_text
from authx.http.client_address import client_ip, client_user_agent
from authx.models import DeviceSession, SessionEvent
from authx.store import database


@dataclass(frozen=True, slots=True)
class Actor:
    """Who caused a change, and from where; all of it may be unknown."""

    user: Any = None
    ip: str | None = None
    user_agent: str = ""
    #: ISO 3166-1 alpha-2; empty where AUTHX_COUNTRY does not know it.
    country: str = ""

    @classmethod
    def of(cls, user: Any = None, request: Any = None) -> Actor:
        """Make one of a user and a Django or DRF request; each may be None."""
        known = user if getattr(user, "pk", None) is not None else None
        request = getattr(request, "_request", request)
        if not isinstance(request, HttpRequest):
            return cls(known)
        ip = client_ip(request)
        return cls(known, ip, client_user_agent(request), _country(ip))


def _country(ip: str | None) -> str:
    if ip is None or conf.COUNTRY is None:
        return ""
    return clean_text(conf.COUNTRY(ip), 2)


#: An actor of whom nothing is known.
NOBODY = Actor()


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
        actor = other = NOBODY
    return SessionEvent(
        session=session,
        subject=subject,
        kind=kind,
        outcome=outcome,
        at=at,
        actor=actor.user,
        actor_label=clean_text(actor.user.get_username(), 150) if actor.user else "",
        ip=actor.ip,
        user_agent=actor.user_agent,
        other_ip=other.ip,
        other_user_agent=other.user_agent,
        note=clean_text(note, 255),
    )


def is_gone(session: DeviceSession) -> bool:
    """Return whether the row's user has been deleted; False also for a row that has not been read."""
    return bool(session.subject) and session.user_id is None


def write(*events: SessionEvent) -> None:
    """Append events; the caller has opened the transaction that they belong to."""
    SessionEvent.objects.using(database.alias()).bulk_create(events)
