"""The events of refreshes: a refresh that changes nothing is recorded once, or not at all."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from django.db import connections

from authx.core.actor import Actor
from authx.core.reasons import EndReason
from authx.core.rotation import Row, Verdict
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit
from authx.sessions.ending import Ending, record
from authx.store import database

logger = logging.getLogger("authx")

#: Refusals that change nothing, and the rows after which each is recorded again; no row undoes an ending.
REPEATS = {Row.STRIKE_AGAIN: [Row.STRIKE], Row.ENDED: []}

#: Not recorded, for they return what exists already: a burst of tabs, or a thief, could write events forever.
SILENT = {Row.KEEP, Row.REPLAY}

_KINDS = {
    Row.STRIKE: SessionEvent.Kind.LATE_REPLAY,
    Row.STRIKE_AGAIN: SessionEvent.Kind.LATE_REPLAY,
    Row.ROLLBACK: SessionEvent.Kind.STATE_ROLLBACK,
    Row.ENDED: SessionEvent.Kind.REFUSED,
}


def tell_once(session: DeviceSession, verdict: Verdict, at: datetime, actor: Actor) -> None:
    """Record a refusal that changes nothing: once, or a thief could write events forever."""
    actor = replace(actor, user=None if verdict.row is Row.ENDED else session.user)

    def write() -> None:
        # Of many at once only one writes; with SKIP LOCKED none of them waits for the session's lock.
        skip = connections[database.alias()].features.has_select_for_update_skip_locked
        ours = DeviceSession.objects.using(database.alias()).select_for_update(skip_locked=skip)
        if ours.filter(pk=session.pk).first() and not _is_told(session, verdict.row):
            record_verdict(session, verdict, at, actor)

    try:
        if not _is_told(session, verdict.row):
            database.transact(write, attempts=1)
    except Exception:  # any error: refusing must not depend on it
        logger.exception("%s of session %s could not be recorded.", verdict.row, session.pk)


def _is_told(session: DeviceSession, row: Row) -> bool:
    """Return whether ``row`` is recorded already, and nothing since makes it worth recording again."""
    outcomes = [row, *REPEATS[row]]
    found = SessionEvent.objects.using(database.alias()).filter(session=session, outcome__in=outcomes)
    _latest, outcome = max(found.order_by().values_list("pk", "outcome"), default=(0, ""))
    return outcome == row


def record_verdict(session: DeviceSession, verdict: Verdict, at: datetime, actor: Actor) -> None:
    """Record the event of the verdict, if any; an ending names nobody, for it may have been a thief."""
    if verdict.end:
        nobody = replace(actor, user=None)
        record([session.pk], Ending(EndReason(verdict.end), at, nobody, verdict.row))
    elif verdict.row not in SILENT:
        kind = _KINDS.get(verdict.row, SessionEvent.Kind.REFRESHED)
        audit.record(kind, session, at=at, outcome=verdict.row, actor=actor)
