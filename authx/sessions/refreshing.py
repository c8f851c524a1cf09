"""Exchanging a refresh token: read, judge, write once, answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.actor import NOBODY, Actor
from authx.core.reasons import EndReason
from authx.core.refresh_token import read_refresh_token
from authx.core.risk import Action, Alarm
from authx.core.rotation import Refusal, Row, Verdict, judge
from authx.errors import (
    RefreshConflict,
    RefreshError,
    RefreshMalformed,
    RefreshReused,
    SessionEnded,
    StoreUnavailable,
)
from authx.models import DeviceSession
from authx.sessions.credentials import Credentials, access_token_for, credentials_for
from authx.sessions.liveness import fingerprint, user_end
from authx.sessions.ports import actor_of
from authx.sessions.presented import find_genuine
from authx.sessions.refresh_events import REPEATS, SILENT, record_verdict, tell_once
from authx.sessions.risk import action_of, new_context, record_alarm
from authx.store import database


@sensitive_variables("refresh_token")
def refresh_session(
    refresh_token: object, request: Any = None, *, now: datetime | None = None
) -> Credentials:
    """Exchange a refresh token for the session's current one and a fresh access token.

    Idempotent: a token that is presented again within the grace period gets the identical successor. The
    verdict is committed before anything is raised, so this must not run inside a transaction
    (``non_atomic_requests``).

    Raises:
        RefreshMalformed: it was never one of ours; nothing changed.
        RefreshConflict: it was spent and its successor is in use; nothing changed but the recorded strike.
        RefreshReused: it was spent before, a sign of theft; the session has just been ended.
        SessionEnded: the session is over; ``reason`` says why.
        StoreUnavailable: the database cannot be read or written; nothing changed.
    """
    return exchange(refresh_token, actor_of(request), now=now)


@sensitive_variables("refresh_token")
def exchange(refresh_token: object, actor: Actor = NOBODY, *, now: datetime | None = None) -> Credentials:
    """Do what ``refresh_session`` does, for a door that has built the actor; raises as it does."""
    with database.store_errors():
        session, generation = _exchange(refresh_token, actor, now)
        return credentials_for(session, generation=generation, now=now or timezone.now())


@sensitive_variables()
def hold_session(
    refresh_token: object, actor: Actor = NOBODY, *, now: datetime | None = None
) -> tuple[DeviceSession, str]:
    """Return the session that ``refresh_session`` would renew, and an access token for this request alone.

    For a client that refreshes too often. Nothing is written, and no token may be sent to the client; but a
    verdict against the token takes effect as usual: a flood must not hide a theft.

    Raises: as ``refresh_session``.
    """
    with database.store_errors():
        session, _generation = _exchange(refresh_token, actor, now, holds=True)
        return session, access_token_for(session, now=now or timezone.now())[1]


@sensitive_variables("refresh_token")
def _exchange(
    refresh_token: object, actor: Actor, now: datetime | None, *, holds: bool = False
) -> tuple[DeviceSession, int]:
    """Return the session of a genuine token and the generation to issue, after carrying out the verdict.

    ``holds``: the verdict is carried out only if it refuses.
    """
    presented = read_refresh_token(refresh_token, secret_keys())
    for _ in range(database.ATTEMPTS):
        session = find_genuine(presented)
        decision = _decide(session, presented.generation, now or session.database_now, actor)
        issue = decision.verdict.issue
        if (holds and issue is not None) or _carry_out(session, decision, actor):
            if issue is None:
                raise _refusal(session, decision.verdict)
            return session, issue
    raise StoreUnavailable("too many others are refreshing this session")


@sensitive_variables("refresh_token")
def refreshable_session(refresh_token: object) -> DeviceSession | None:
    """Return the session that ``refresh_session`` would renew with this token; None if it would refuse it.

    Changes nothing, and does not spend the token.

    Raises:
        StoreUnavailable: the database cannot be read.
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


@dataclass(frozen=True, slots=True)
class _Decision:
    """What to do, and for whom; the verdict includes what the site's alarms add."""

    verdict: Verdict
    at: datetime
    #: Who refreshes, where the decision needed to know.
    actor: Actor | None = None
    alarms: tuple[Alarm, ...] = ()
    #: The new values of the columns that record where the session is used from.
    context: Mapping[str, Any] = field(default_factory=dict)


def _decide(session: DeviceSession, presented: int, at: datetime, actor: Actor) -> _Decision:
    verdict = _judge(session, presented, at)
    if verdict.issue is None:
        found = [Alarm.REFRESH_REUSED] if verdict.refusal is Refusal.REUSED else []
        return _Decision(verdict, at, alarms=tuple(found))
    actor = replace(actor, user=session.user)
    found, context = new_context(session, actor)
    if any(action_of(alarm) is Action.END for alarm in found):
        verdict = Verdict(row=verdict.row, end=EndReason.REUSED.value, refusal=Refusal.REUSED)
        found = [*found, Alarm.REFRESH_REUSED]
    return _Decision(verdict, at, actor, tuple(found), context)


def _carry_out(session: DeviceSession, decision: _Decision, actor: Actor) -> bool:
    """Write the verdict and its events, if any, in one transaction; return False if another was first."""
    verdict, at = decision.verdict, decision.at
    if verdict.row in REPEATS:
        tell_once(session, verdict, at, actor)
        return True
    changes = _changes(session, verdict, at) | dict(decision.context)
    if verdict.row in SILENT and not changes:
        database.demand_no_transaction()
        return True
    # Nothing that was erased with a deleted user is recorded again.
    actor = decision.actor or (NOBODY if session.user is None else replace(actor, user=session.user))

    def write() -> bool:
        if changes and not _swap(session, changes, decision.context):
            return False
        for alarm in decision.alarms:
            record_alarm(session, alarm, at=at, actor=actor)
        record_verdict(session, verdict, at, actor)
        return True

    if not database.transact(write, durable=True):
        return False
    for name, value in changes.items():
        setattr(session, name, value)
    return True


def _changes(session: DeviceSession, verdict: Verdict, at: datetime) -> dict[str, Any]:
    if verdict.end:
        return {"ended_at": at, "end_reason": EndReason(verdict.end).value}
    changes = dict(verdict.changes)
    if verdict.row in {Row.ROTATE, Row.ROLLBACK}:
        changes["last_seen_at"] = at
        # A fingerprint taken under a fallback SECRET_KEY would stop matching when that key is dropped.
        if session.user is not None:
            changes["fingerprint"] = fingerprint(session.user)
    return changes


def _swap(session: DeviceSession, changes: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    """Update the row in one conditional statement: only if the session is still as it was judged.

    The columns of ``context`` must be unchanged too, or each tab of a burst would raise the same alarm.
    """
    state = session.rotation_state()
    this = DeviceSession.objects.using(database.alias()).filter(
        pk=session.pk,
        ended_at=None,
        generation=state.generation,
        confirmed_generation=state.confirmed_generation,
        strike_generation=state.strike_generation,
        late_generation=state.late_generation,
        fingerprint=session.fingerprint,
        **{name: getattr(session, name) for name in context},
    )
    return this.update(**changes) == 1


def _refusal(session: DeviceSession, verdict: Verdict) -> RefreshError:
    error: RefreshError
    if verdict.refusal is Refusal.CONFLICT:
        error = RefreshConflict("it was spent and its successor is in use")
    elif verdict.refusal is Refusal.REUSED:
        error = RefreshReused("it was spent before; the session has been ended")
    else:
        error = SessionEnded(verdict.end or session.end_reason, replaced_by=session.replaced_by)
    error.sid = session.pk
    return error
