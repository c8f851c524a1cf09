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
from authx.core.claims import AccessClaims
from authx.core.reasons import EndReason
from authx.core.refresh_token import RefreshClaims, read_refresh_token
from authx.core.risk import Action, Alarm
from authx.core.rotation import Refusal, Transition, Verdict, judge
from authx.errors import (
    RefreshConflict,
    RefreshError,
    RefreshReused,
    SessionEnded,
    StoreUnavailable,
)
from authx.models import DeviceSession
from authx.sessions.credentials import Credentials, claims_of, credentials_for
from authx.sessions.liveness import fingerprint, user_end
from authx.sessions.lookup import Snapshot, find_by_refresh_token
from authx.sessions.ports import actor_of
from authx.sessions.refresh_events import SILENT, record_refusal_once, record_verdict
from authx.sessions.risk import action_of, alarms_of, record_alarm
from authx.sessions.site_answers import SiteAnswers, ask_site
from authx.store import database


@sensitive_variables("refresh_token")
def refresh_session(
    refresh_token: object, request: Any = None, *, now: datetime | None = None
) -> Credentials:
    """Exchange a refresh token for one of the session's newest generation and a fresh access token.

    Idempotent: a spent token that is presented again within the grace period gets a token of the same
    generation, and the newest one is repeated. The verdict is committed before anything is raised or handed
    out, so this must not run inside a transaction (``non_atomic_requests``).

    Raises:
        RefreshMalformed: it was never one of ours; nothing changed.
        RefreshConflict: it was spent and its successor is in use; nothing changed but the recorded strike.
        RefreshReused: it was spent before, a sign of theft; the session has just been ended.
        SessionEnded: the session is over; ``reason`` says why.
        StoreUnavailable: the database cannot be read or written; nothing changed.
        Exception: whatever the site's own code raises (AUTHX_CLAIMS, AUTHX_COUNTRY); nothing was spent.
    """
    return exchange(read_refresh_token(refresh_token, secret_keys()), actor_of(request), now=now)


@sensitive_variables()
def exchange(presented: RefreshClaims, actor: Actor = NOBODY, *, now: datetime | None = None) -> Credentials:
    """Do what ``refresh_session`` does, for a door that has read the token and built the actor."""
    with database.store_errors():
        session, verdict, extra = _exchange(presented, actor, now)
        generation = verdict.issue or session.generation
        kept = presented.branch if verdict.transition is Transition.KEEP else None
        at = now or timezone.now()
        return credentials_for(session, generation=generation, now=at, kept=kept, extra=extra)


@sensitive_variables()
def hold_session(
    presented: RefreshClaims, actor: Actor = NOBODY, *, now: datetime | None = None
) -> tuple[DeviceSession, AccessClaims]:
    """Return the session that ``exchange`` would renew, and access claims for this request alone.

    For a client that refreshes too often. No token is made, so nothing is rotated or confirmed. But whatever
    counts against the token takes effect as usual, or a flood would hide a theft: a refusal, a twin, and a
    late replay, whose grace period then begins although nothing was replayed.

    Raises: as ``refresh_session``.
    """
    with database.store_errors():
        session, _verdict, extra = _exchange(presented, actor, now, holds=True)
        at = now or timezone.now()
        return session, claims_of(session, generation=session.generation, now=at, extra=extra)


@sensitive_variables()
def _exchange(
    presented: RefreshClaims, actor: Actor, now: datetime | None, *, holds: bool = False
) -> tuple[DeviceSession, Verdict, Mapping[str, Any]]:
    """Return the session of a genuine token, the verdict that serves it, carried out, and the site's claims.

    ``holds``: the verdict is carried out only if it counts against the token.
    """
    for _ in range(database.ATTEMPTS):
        found = find_by_refresh_token(presented)
        session, at = found.session, now or found.now
        judged = _judge(session, presented, at)
        answers = ask_site(session, judged, actor)
        decision = _decide(session, judged, at, actor, answers)
        verdict = decision.verdict
        # Where no answer can be made, nothing is spent for it; but what shows a theft is not lost.
        writes = judged.is_twin if answers.error else not holds or verdict.counts_against
        if (verdict.issue is None or writes) and not _carry_out(session, decision, actor):
            continue
        if verdict.issue is None:
            raise _refusal(session, verdict)
        if answers.error:
            raise answers.error
        return session, verdict, answers.claims
    raise StoreUnavailable("too many others are refreshing this session")


def find_refreshable(presented: RefreshClaims) -> Snapshot | None:
    """Return the session that ``exchange`` would renew with this token; None if it would refuse it.

    None too if it would note a twin, for nobody is let in before that is committed. Changes nothing, and does
    not spend the token.

    Raises:
        RefreshMalformed: no session has issued it.
        StoreUnavailable: the database cannot be read.
    """
    found = find_by_refresh_token(presented)
    verdict = _judge(found.session, presented, found.now)
    return found if verdict.issue is not None and not verdict.is_twin else None


def _judge(session: DeviceSession, presented: RefreshClaims, now: datetime) -> Verdict:
    return judge(
        session.rotation_state(),
        presented.generation,
        branch=presented.branch,
        now=now,
        grace=conf.REFRESH_GRACE,
        idle=conf.idle_period,
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


def _decide(
    session: DeviceSession, verdict: Verdict, at: datetime, actor: Actor, answers: SiteAnswers
) -> _Decision:
    known = None if verdict.issue is None else replace(actor, user=session.user)
    found = [*alarms_of(verdict), *answers.alarms]
    if verdict.end is None and any(action_of(alarm) is Action.END for alarm in found):
        verdict = _ended_by_alarm(verdict)
    if verdict.refusal is Refusal.REUSED:
        found.append(Alarm.REFRESH_REUSED)
    return _Decision(verdict, at, known, tuple(found), answers.context)


def _ended_by_alarm(verdict: Verdict) -> Verdict:
    return Verdict(
        transition=verdict.transition,
        end=EndReason.REUSED.value,
        refusal=Refusal.REUSED,
        is_twin=verdict.is_twin,
    )


def _carry_out(session: DeviceSession, decision: _Decision, actor: Actor) -> bool:
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
    changes = dict(verdict.changes)
    if verdict.end:
        reason, lost = EndReason(verdict.end).value, verdict.answers_lost
        return {**changes, "ended_at": at, "end_reason": reason, "answers_lost": lost}
    if verdict.transition in {Transition.ROTATE, Transition.ROLLBACK}:
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
        late_streak=state.late_streak,
        twin_generation=state.twin_generation,
        fingerprint=session.fingerprint,
        **{name: getattr(session, name) for name in context},
    )
    return this.update(**changes) == 1


def _refusal(session: DeviceSession, verdict: Verdict) -> RefreshError:
    if verdict.refusal is Refusal.CONFLICT:
        return RefreshConflict("it was spent and its successor is in use", sid=session.pk)
    if verdict.refusal is Refusal.REUSED:
        text, lost = "it was spent before; the session has been ended", session.answers_lost
        return RefreshReused(text, sid=session.pk, answers_lost=lost)
    return SessionEnded(
        verdict.end or session.end_reason,
        sid=session.pk,
        replaced_by=session.replaced_by,
        answers_lost=session.answers_lost,
    )
