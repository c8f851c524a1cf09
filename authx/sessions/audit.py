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
    #: ISO 3166-1 alpha-2, where AUTHX_COUNTRY knows it.
    country: str = ""

    @classmethod
    def of(cls, user: Any = None, request: Any = None) -> Actor:
        """``request`` is a Django or DRF request, or None; ``user`` a user, or None."""
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
) -> SessionEvent:
    """An event, not yet written; ``subject`` says whose account it is about where there is no session.

    A subject whose user is gone has been forgotten: from where their devices come back is not kept.
    """
    if session is not None and is_gone(session):
        actor = NOBODY
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
        note=clean_text(note, 255),
    )


def is_gone(session: DeviceSession) -> bool:
    """True if the row says that its user has been deleted; False also of one that has not been read."""
    return bool(session.subject) and session.user_id is None


def write(*events: SessionEvent) -> None:
    """Append events; the caller has opened the transaction that they belong to."""
    SessionEvent.objects.using(database.alias()).bulk_create(events)
