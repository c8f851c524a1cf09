"""The events of refreshes: a refresh that changes nothing is recorded once, or not at all."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from authx import metrics
from authx.core.actor import Actor
from authx.core.reasons import EndReason
from authx.core.rotation import Transition, Verdict
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit
from authx.sessions.ending import Ending, record
from authx.store import database

logger = logging.getLogger("authx")

#: Not recorded, for they repeat what is recorded already: a burst of tabs, or a thief, could write events
#: forever. A twin among them is recorded all the same.
SILENT = {Transition.KEEP, Transition.REPLAY, Transition.STRIKE_AGAIN}

_KINDS = {
    Transition.STRIKE: SessionEvent.Kind.LATE_REPLAY,
    Transition.ROLLBACK: SessionEvent.Kind.STATE_ROLLBACK,
    Transition.ENDED: SessionEvent.Kind.REFUSED,
}


def count_verdict(verdict: Verdict) -> None:
    """Count a verdict that was carried out; a twin counts beside the transition that answers it."""
    metrics.REFRESHES.count(transition=verdict.transition)
    if verdict.is_twin and verdict.transition is not Transition.TWIN:
        metrics.REFRESHES.count(transition=Transition.TWIN)


def record_refusal_once(session: DeviceSession, verdict: Verdict, at: datetime, actor: Actor) -> None:
    """Record that an ended session was refused: once, or a thief could write events forever."""
    nobody = replace(actor, user=None)

    def write() -> None:
        # Of many at once only one writes; with SKIP LOCKED none of them waits for the session's lock.
        skip = database.current_connection().features.has_select_for_update_skip_locked
        ours = DeviceSession.objects.using(database.alias()).select_for_update(skip_locked=skip)
        if ours.filter(pk=session.pk).first() and not _is_recorded(session, verdict.transition):
            record_verdict(session, verdict, at, nobody)

    try:
        if not _is_recorded(session, verdict.transition):
            database.transact(write, attempts=1)
    except Exception:  # any error: refusing must not depend on it
        logger.exception(
            "%s of session %s could not be recorded.",
            verdict.transition,
            session.pk,
            extra={"event": "refusal_not_recorded"},
        )


def _is_recorded(session: DeviceSession, transition: Transition) -> bool:
    events = SessionEvent.objects.using(database.alias())
    return events.filter(session=session, outcome=transition).exists()


def record_verdict(session: DeviceSession, verdict: Verdict, at: datetime, actor: Actor) -> None:
    """Record the events of the verdict, if any; an ending names nobody, for it may have been a thief."""
    if verdict.is_twin:
        _record_twin(session, at, actor)
    if verdict.end:
        nobody = replace(actor, user=None)
        record([session.pk], Ending(EndReason(verdict.end), at, nobody, verdict.transition))
    elif is_news(verdict):
        audit.write(transition_event(session, verdict, at, actor))


def transition_event(session: DeviceSession, verdict: Verdict, at: datetime, actor: Actor) -> SessionEvent:
    """Return the event of a transition that does not end the session."""
    kind = _KINDS.get(verdict.transition, SessionEvent.Kind.REFRESHED)
    return audit.event(session, kind, at=at, outcome=verdict.transition, actor=actor)


def is_news(verdict: Verdict) -> bool:
    """Return whether to record the transition: of the late replays of one generation, only the first."""
    return verdict.transition not in SILENT and verdict.changes.get("late_streak", 0) <= 1


def _record_twin(session: DeviceSession, at: datetime, actor: Actor) -> None:
    """Record both places that the session is used from: this one, and that of its last rotation."""
    kind, nobody = SessionEvent.Kind.COPIED, replace(actor, user=None)  # either may be the thief
    other = _last_rotation(session)
    audit.write(audit.event(session, kind, at=at, outcome=Transition.TWIN, actor=nobody, other=other))


def _last_rotation(session: DeviceSession) -> Actor:
    """Return where the last rotation came from; where the session was opened, if that event was pruned."""
    rotations = (Transition.ROTATE, Transition.ROLLBACK)
    events = SessionEvent.objects.using(database.alias()).filter(session=session, outcome__in=rotations)
    last = events.order_by("-pk").values_list("ip", "user_agent").first()
    ip, user_agent = last or (session.ip, session.user_agent)
    return Actor(ip=ip, user_agent=user_agent)
