"""Exchanging a refresh token: read, judge, write once, answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import connections
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.alarms import Action, Alarm
from authx.core.refresh import read_refresh_token
from authx.core.rotation import Refusal, Row, Verdict, judge
from authx.errors import (
    RefreshConflict,
    RefreshError,
    RefreshMalformed,
    RefreshReused,
    SessionEnded,
    StoreUnavailable,
)
from authx.models import DeviceSession, EndReason, SessionEvent
from authx.sessions import database, events
from authx.sessions.alarming import action_of, new_context, record_alarm
from authx.sessions.credentials import Credentials, credentials_for
from authx.sessions.ending import Ending, record
from authx.sessions.events import NOBODY, Actor
from authx.sessions.presented import find_genuine
from authx.sessions.standing import fingerprint, user_end

logger = logging.getLogger("authx")

#: Refusals that change nothing, and the row after which each is news again; no row undoes an ending.
_REPEATS = {Row.STRIKE_AGAIN: [Row.STRIKE], Row.ENDED: []}

_KINDS = {
    Row.STRIKE: SessionEvent.Kind.LATE_REPLAY,
    Row.STRIKE_AGAIN: SessionEvent.Kind.LATE_REPLAY,
    Row.ROLLBACK: SessionEvent.Kind.STATE_ROLLBACK,
    Row.ENDED: SessionEvent.Kind.REFUSED,
}


@sensitive_variables("refresh_token")
def refresh_session(
    refresh_token: object, request: Any = None, *, now: datetime | None = None
) -> Credentials:
    """Exchange a refresh token for the session's current one and a fresh access token.

    Idempotent: whoever presents a token again within the grace is given the identical successor. The
    verdict is committed before anything is raised, so this must not run inside a transaction
    (``non_atomic_requests``).

    Raises:
        RefreshMalformed: it was never one of ours; nothing changed.
        RefreshConflict: it was spent and its successor is in use; nothing but the strike changed.
        RefreshReused: it was spent, again; the session has just been ended.
        SessionEnded: the session is over; ``reason`` says why.
        StoreUnavailable: the database cannot be asked or written; nothing changed.
    """
    presented = read_refresh_token(refresh_token, secret_keys())
    with database.store_errors():
        for _ in range(database.ATTEMPTS):
            session = find_genuine(presented)
            at = now or session.database_now
            verdict = _judge(session, presented.generation, at)
            if carried := _carry_out(session, verdict, at, request):
                return _answer(session, carried, now or timezone.now())
    raise StoreUnavailable("too many others are refreshing this session")


@sensitive_variables("refresh_token")
def refreshable_session(refresh_token: object) -> DeviceSession | None:
    """The session that ``refresh_session`` would renew with this token; None if it would refuse it.

    Changes nothing, and spends nothing.

    Raises:
        StoreUnavailable: the database cannot be asked.
    """
    try:
        presented = read_refresh_token(refresh_token, secret_keys())
        session = find_genuine(presented)
    except RefreshMalformed:
        return None
    verdict = _judge(session, presented.generation, session.database_now)
    return session if verdict.issue is not None else None


def _judge(session: DeviceSession, presented: int, now: datetime) -> Verdict:
    return judge(
        session.rotation_state(),
        presented,
        now=now,
        grace=conf.REFRESH_GRACE,
        idle=conf.IDLE_LIFETIME,
        user_end=user_end(session),
    )


def _carry_out(session: DeviceSession, verdict: Verdict, at: datetime, request: Any) -> Verdict | None:
    """Write the verdict and its events in one transaction; None if somebody else wrote first.

    What the site's alarms add is part of the verdict that is returned.
    """
    if verdict.row in _REPEATS:
        _tell_once(session, verdict, at, request)
        return verdict
    # Of whoever is gone nothing is kept that was forgotten with them.
    actor = NOBODY if session.user is None else Actor.of(session.user, request)
    found, context = new_context(session, actor) if verdict.issue is not None else ([], {})
    if any(action_of(alarm) is Action.END for alarm in found):
        verdict = Verdict(row=verdict.row, end=EndReason.REUSED.value, refusal=Refusal.REUSED)
    changes = _changes(session, verdict, at) | context
    if verdict.refusal is Refusal.REUSED:
        found = [*found, Alarm.REFRESH_REUSED]

    def write() -> bool:
        if changes and not _swap(session, changes):
            return False
        for alarm in found:
            record_alarm(session, alarm, at=at, actor=actor)
        _record(session, verdict, at, actor)
        return True

    if not database.transact(write, durable=True):
        return None
    for name, value in changes.items():
        setattr(session, name, value)
    return verdict


def _tell_once(session: DeviceSession, verdict: Verdict, at: datetime, request: Any) -> None:
    """Write the event of a refusal that changes nothing: once, or a thief could write rows for ever."""

    def write() -> None:
        # Of many at once one writes, and nobody waits for whoever holds the session, if that can be helped.
        skip = connections[database.alias()].features.has_select_for_update_skip_locked
        ours = DeviceSession.objects.using(database.alias()).select_for_update(skip_locked=skip)
        if ours.filter(pk=session.pk).first() and not _is_told(session, verdict.row):
            _record(session, verdict, at, actor)

    try:
        if not _is_told(session, verdict.row):
            who = None if verdict.row is Row.ENDED else session.user
            actor = Actor.of(who, request)
            database.transact(write, attempts=1)
    except Exception:  # whatever it is, AUTHX_COUNTRY's included: refusing must not depend on it
        logger.exception("%s of session %s could not be recorded.", verdict.row, session.pk)


def _is_told(session: DeviceSession, row: Row) -> bool:
    """True if nothing that makes ``row`` news has happened since its last event."""
    outcomes = [row, *_REPEATS[row]]
    found = SessionEvent.objects.using(database.alias()).filter(session=session, outcome__in=outcomes)
    _latest, outcome = max(found.order_by().values_list("pk", "outcome"), default=(0, ""))
    return outcome == row


def _record(session: DeviceSession, verdict: Verdict, at: datetime, actor: Actor) -> None:
    """The event of the verdict; nobody is named for an ending, for it may have been a thief."""
    if verdict.end:
        nobody = replace(actor, user=None)
        record([session.pk], Ending(EndReason(verdict.end), at, nobody, verdict.row))
    else:
        kind = _KINDS.get(verdict.row, SessionEvent.Kind.REFRESHED)
        events.write(events.event(session, kind, at=at, outcome=verdict.row, actor=actor))


def _changes(session: DeviceSession, verdict: Verdict, at: datetime) -> dict[str, Any]:
    if verdict.end:
        return {"ended_at": at, "end_reason": EndReason(verdict.end).value}
    changes = dict(verdict.changes)
    if verdict.row in {Row.ROTATE, Row.ROLLBACK}:
        changes["last_seen_at"] = at
        # Taken under a fallback SECRET_KEY it would stop matching when that key is dropped.
        if session.user is not None:
            changes["fingerprint"] = fingerprint(session.user)
    return changes


def _swap(session: DeviceSession, changes: Mapping[str, Any]) -> bool:
    """The one conditional statement: only if the session is still as it was judged."""
    state = session.rotation_state()
    this = DeviceSession.objects.using(database.alias()).filter(
        pk=session.pk,
        ended_at=None,
        generation=state.generation,
        confirmed_generation=state.confirmed_generation,
        strike_generation=state.strike_generation,
        late_generation=state.late_generation,
        fingerprint=session.fingerprint,
    )
    return this.update(**changes) == 1


def _answer(session: DeviceSession, verdict: Verdict, now: datetime) -> Credentials:
    if verdict.refusal is None and verdict.issue is not None:
        return credentials_for(session, generation=verdict.issue, now=now)
    error: RefreshError
    if verdict.refusal is Refusal.CONFLICT:
        error = RefreshConflict("it was spent and its successor is in use")
    elif verdict.refusal is Refusal.REUSED:
        error = RefreshReused("it was spent before; the session has been ended")
    else:
        error = SessionEnded(verdict.end or session.end_reason, replaced_by=session.replaced_by)
    error.sid = session.pk
    raise error
