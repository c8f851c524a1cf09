"""The events of refreshes: a refresh that changes nothing is recorded once, or not at all."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import connections

from authx.core.reasons import EndReason
from authx.core.rotation import Transition, Verdict
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit
from authx.sessions.audit import Actor
from authx.sessions.ending import Ending, record
from authx.store import database

logger = logging.getLogger("authx")

#: Refusals that change nothing, and the rows after which each is recorded again; no row undoes an ending.
REPEATS = {Transition.STRIKE_AGAIN: [Transition.STRIKE], Transition.ENDED: []}

#: Not recorded, for they return what exists already: a burst of tabs, or a thief, could write events forever.
SILENT = {Transition.KEEP, Transition.REPLAY}

_KINDS = {
    Transition.STRIKE: SessionEvent.Kind.LATE_REPLAY,
    Transition.STRIKE_AGAIN: SessionEvent.Kind.LATE_REPLAY,
    Transition.ROLLBACK: SessionEvent.Kind.STATE_ROLLBACK,
    Transition.ENDED: SessionEvent.Kind.REFUSED,
}


def tell_once(session: DeviceSession, verdict: Verdict, at: datetime, request: Any) -> None:
    """Record a refusal that changes nothing: once, or a thief could write events forever."""

    def write() -> None:
        # Of many at once only one writes; with SKIP LOCKED none of them waits for the session's lock.
        skip = connections[database.alias()].features.has_select_for_update_skip_locked
        ours = DeviceSession.objects.using(database.alias()).select_for_update(skip_locked=skip)
        if ours.filter(pk=session.pk).first() and not _is_told(session, verdict.transition):
            record_verdict(session, verdict, at, actor)

    try:
        if not _is_told(session, verdict.transition):
            actor = Actor.of(None if verdict.transition is Transition.ENDED else session.user, request)
            database.transact(write, attempts=1)
    except Exception:  # any error, AUTHX_COUNTRY's included: refusing must not depend on it
        logger.exception("%s of session %s could not be recorded.", verdict.transition, session.pk)


def _is_told(session: DeviceSession, transition: Transition) -> bool:
    """Return whether ``transition`` is recorded already, and nothing since makes it worth recording again."""
    outcomes = [transition, *REPEATS[transition]]
    found = SessionEvent.objects.using(database.alias()).filter(session=session, outcome__in=outcomes)
    _latest, outcome = max(found.order_by().values_list("pk", "outcome"), default=(0, ""))
    return outcome == transition


def record_verdict(session: DeviceSession, verdict: Verdict, at: datetime, actor: Actor) -> None:
    """Record the event of the verdict, if any; an ending names nobody, for it may have been a thief."""
    if verdict.end:
        nobody = replace(actor, user=None)
        record([session.pk], Ending(EndReason(verdict.end), at, nobody, verdict.transition))
    elif verdict.transition not in SILENT:
        kind = _KINDS.get(verdict.transition, SessionEvent.Kind.REFRESHED)
        audit.write(audit.event(session, kind, at=at, outcome=verdict.transition, actor=actor))
