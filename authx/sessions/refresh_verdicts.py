"""The verdict on a refresh token: decided with the site's alarms, and carried out in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db import connections

from authx.conf import conf
from authx.core.actor import NOBODY, Actor
from authx.core.reasons import EndReason
from authx.core.refresh_token import RefreshClaims
from authx.core.risk import Action, Alarm
from authx.core.rotation import Refusal, Transition, Verdict, judge
from authx.models import DeviceSession
from authx.sessions.liveness import fingerprint, user_end
from authx.sessions.refresh_events import SILENT, record_refusal_once, record_verdict
from authx.sessions.risk import action_of, alarms_of, record_alarm
from authx.sessions.site_answers import SiteAnswers
from authx.store import database
from authx.store.compiled import CompiledUpdate, Parameter


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
    return actor if actor.client_id else replace(actor, user=session.user)


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
    changes = dict(verdict.changes)
    if verdict.end:
        reason, lost = EndReason(verdict.end).value, verdict.answers_lost
        return {**changes, "ended_at": at, "end_reason": reason, "answers_lost": lost}
    if verdict.transition in {Transition.ROTATE, Transition.ROLLBACK}:
        changes["last_seen_at"] = at
    # It lives on: a fingerprint taken under a fallback SECRET_KEY stops matching when that key is dropped.
    if "idle_expires_at" in changes and session.user is not None:
        changes["fingerprint"] = fingerprint(session.user)
    return changes


def _swap(session: DeviceSession, changes: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    """Update the row in one conditional statement: only if the session is still as it was judged.

    The columns of ``context`` must be unchanged too, or each tab of a burst would raise the same alarm.
    """
    state = session.rotation_state()
    judged = {
        "id": session.pk,
        "ended_at": None,
        "generation": state.generation,
        "confirmed_generation": state.confirmed_generation,
        "strike_generation": state.strike_generation,
        "late_streak": state.late_streak,
        "twin_generation": state.twin_generation,
        "fingerprint": session.fingerprint,
        **{name: getattr(session, name) for name in context},
    }
    connection = connections[database.alias()]
    given = {f"new {name}": _column(name).get_db_prep_save(changes[name], connection) for name in changes}
    given |= {f"old {name}": _column(name).get_db_prep_value(judged[name], connection) for name in judged}
    unset = frozenset(name for name in judged if judged[name] is None)
    return _swapping(frozenset(changes), frozenset(judged) - unset, unset).run(given) == 1


def _column(name: str) -> Any:
    return DeviceSession._meta.get_field(name)


@lru_cache(maxsize=64)
def _swapping(changed: frozenset[str], judged: frozenset[str], unset: frozenset[str]) -> CompiledUpdate:
    """Return the swap that sets these columns where those are as judged, and the unset ones NULL."""

    def build(alias: str) -> tuple[Any, dict[str, Any]]:
        conditions: dict[str, Any] = {
            name: Parameter(f"old {name}", _column(name)) for name in sorted(judged)
        }
        conditions |= {f"{name}__isnull": True for name in sorted(unset)}
        values = {name: Parameter(f"new {name}", _column(name)) for name in sorted(changed)}
        return DeviceSession.objects.using(alias).filter(**conditions), values

    return CompiledUpdate(build)
