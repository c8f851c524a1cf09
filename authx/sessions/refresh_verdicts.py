"""The verdict on a refresh token: decided with the site's alarms, and carried out in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from authx.conf import conf
from authx.core.actor import NOBODY, Actor
from authx.core.reasons import EndReason
from authx.core.refresh_token import RefreshClaims
from authx.core.risk import Action, Alarm
from authx.core.rotation import Refusal, Transition, Verdict, judge
from authx.core.user_model import session_auth_fallback_hashes
from authx.models import DeviceSession
from authx.sessions.liveness import user_end
from authx.sessions.password_fingerprint import fingerprint
from authx.sessions.refresh_events import (
    SILENT,
    is_news,
    record_refusal_once,
    record_verdict,
    transition_event,
)
from authx.sessions.risk import action_of, alarms_of, record_alarm
from authx.sessions.site_answers import SiteAnswers
from authx.sessions.swap import swap_of
from authx.store import database


def judge_token(
    session: DeviceSession, presented: RefreshClaims, now: datetime, *, idle: timedelta | None = None
) -> Verdict:
    """Judge a genuine refresh token by ``rotation.judge``, the settings and the state of the user.

    ``idle`` is the ``idle_period`` of the session's client, where it is one's.
    """
    return judge(
        session.rotation_state(),
        presented.generation,
        branch=presented.branch,
        now=now,
        grace=conf.REFRESH_GRACE,
        idle=conf.idle_period if idle is None else idle,
        user_end=user_end(session) if session.ended_reason(now) is None else None,
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and for whom; the verdict includes what the site's alarms add."""

    verdict: Verdict
    at: datetime
    #: Who refreshes, where the decision needed to know.
    actor: Actor | None = None
    alarms: tuple[Alarm, ...] = ()
    #: The new values of the columns that record where the session is used from.
    context: Mapping[str, Any] = field(default_factory=dict)


def decide(
    session: DeviceSession, verdict: Verdict, at: datetime, actor: Actor, answers: SiteAnswers
) -> Decision:
    """Decide what a genuine refresh token does to ``session``; writes nothing."""
    known = None if verdict.issue is None else _known(session, actor)
    found = [*alarms_of(verdict), *answers.alarms]
    if verdict.end is None and any(action_of(alarm) is Action.END for alarm in found):
        verdict = _ended_by_alarm(verdict)
    if verdict.refusal is Refusal.REUSED:
        found.append(Alarm.REFRESH_REUSED)
    return Decision(verdict, at, known, tuple(found), answers.context)


def _known(session: DeviceSession, actor: Actor) -> Actor:
    """Return the actor with the session's user, unless it is a client that acts in the user's place."""
    return actor if actor.client_id else Actor(session.user, actor.ip, actor.user_agent)


def _ended_by_alarm(verdict: Verdict) -> Verdict:
    return Verdict(
        transition=verdict.transition,
        end=EndReason.REUSED.value,
        refusal=Refusal.REUSED,
        is_twin=verdict.is_twin,
    )


def carry_out(session: DeviceSession, decision: Decision, actor: Actor) -> bool:
    """Write the verdict and its events, if any, in one transaction; return False if another was first."""
    verdict, at = decision.verdict, decision.at
    if verdict.transition is Transition.ENDED:
        record_refusal_once(session, verdict, at, actor)
        return True
    changes = _changes(session, verdict, at) | dict(decision.context)
    if verdict.transition in SILENT and not changes:
        database.demand_no_transaction()
        return True
    # Nothing that was erased with a deleted user is recorded again.
    actor = decision.actor or (NOBODY if session.user is None else _known(session, actor))
    if not _write(session, decision, changes, actor):
        return False
    for name, value in changes.items():
        setattr(session, name, value)
    return True


def _write(session: DeviceSession, decision: Decision, changes: Mapping[str, Any], actor: Actor) -> bool:
    """Change the row with all that goes with it: in one statement where that is one event at most."""
    verdict, at = decision.verdict, decision.at
    swap = swap_of(session, changes, decision.context) if changes else None

    def write() -> bool:
        if swap is not None and not swap.run():
            return False
        for alarm in decision.alarms:
            record_alarm(session, alarm, at=at, actor=actor)
        record_verdict(session, verdict, at, actor)
        return True

    at_once = None
    if swap is not None and not (decision.alarms or verdict.is_twin or verdict.end):
        event = partial(transition_event, session, verdict, at, actor) if is_news(verdict) else None
        at_once = partial(swap.run_at_once, event)
    return database.transact(write, at_once=at_once, durable=True)


def _changes(session: DeviceSession, verdict: Verdict, at: datetime) -> dict[str, Any]:
    changes = dict(verdict.changes)
    if verdict.end:
        reason, lost = EndReason(verdict.end).value, verdict.answers_lost
        return {**changes, "ended_at": at, "end_reason": reason, "answers_lost": lost}
    if verdict.transition in {Transition.ROTATE, Transition.ROLLBACK}:
        changes["last_seen_at"] = at
    user: Any = session.user
    # It lives on: a fingerprint taken under a fallback SECRET_KEY stops matching when that key is dropped.
    if "idle_expires_at" in changes and user is not None and any(session_auth_fallback_hashes(user)):
        changes["fingerprint"] = fingerprint(user)
    return changes
