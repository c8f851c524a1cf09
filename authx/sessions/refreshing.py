"""Exchanging a refresh token: read it, have it judged, answer with tokens or an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx.conf import secret_keys
from authx.core.actor import NOBODY, Actor
from authx.core.claims import AccessClaims
from authx.core.refresh_token import RefreshClaims, read_refresh_token
from authx.core.rotation import Refusal, Transition, Verdict
from authx.errors import (
    RefreshConflict,
    RefreshError,
    RefreshReused,
    SessionEnded,
    StoreUnavailable,
)
from authx.models import DeviceSession
from authx.sessions.credentials import Credentials, claims_of, credentials_for
from authx.sessions.liveness import ended_at
from authx.sessions.lookup import Snapshot, find_by_refresh_token
from authx.sessions.ports import actor_of
from authx.sessions.refresh_events import count_verdict
from authx.sessions.refresh_verdicts import carry_out, decide, judge_token
from authx.sessions.site_answers import SiteAnswers, ask_site
from authx.store import database


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who refreshes: the site's own logins, or a client with a session of its own."""

    #: Of no other client's session is a token taken; empty: of no client's.
    client_id: str = ""
    #: The ``idle_period`` of its sessions; None: the site's own.
    idle: timedelta | None = None
    #: Answers about a refresh that the verdict serves, before anything is spent.
    ask: Callable[[DeviceSession, Verdict, Actor], SiteAnswers] = ask_site


FIRST_PARTY: Final = Party()


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
def exchange(
    presented: RefreshClaims,
    actor: Actor = NOBODY,
    *,
    party: Party = FIRST_PARTY,
    now: datetime | None = None,
) -> Credentials:
    """Do what ``refresh_session`` does, for a door that has read the token and built the actor."""
    with database.store_errors():
        session, verdict, answers = _exchange(presented, actor, now, party)
        return credentials_for(
            session,
            generation=verdict.issue or session.generation,
            now=now or timezone.now(),
            kept=presented.branch if verdict.transition is Transition.KEEP else None,
            extra=answers.claims,
            granted=answers.granted,
        )


@sensitive_variables()
def admit_without_refresh(
    presented: RefreshClaims, actor: Actor = NOBODY, *, now: datetime | None = None
) -> tuple[DeviceSession, AccessClaims]:
    """Return the session that ``exchange`` would renew, and access claims for this request alone.

    For a client that refreshes too often. No token is made, so nothing is rotated or confirmed. But whatever
    counts against the token takes effect as usual, or a flood would hide a theft: a refusal, a twin, and a
    late replay, whose grace period then begins although nothing was replayed.

    Raises: as ``refresh_session``.
    """
    with database.store_errors():
        session, _verdict, answers = _exchange(presented, actor, now, if_it_counts=True)
        at = now or timezone.now()
        return session, claims_of(session, generation=session.generation, now=at, extra=answers.claims)


@sensitive_variables()
def _exchange(
    presented: RefreshClaims,
    actor: Actor,
    now: datetime | None,
    party: Party = FIRST_PARTY,
    *,
    if_it_counts: bool = False,
) -> tuple[DeviceSession, Verdict, SiteAnswers]:
    """Return the session of a genuine token, the verdict that serves it, carried out, and the site's answers.

    ``if_it_counts``: the verdict is carried out only if it counts against the token.
    """
    for _ in range(database.MAX_ATTEMPTS):
        found = find_by_refresh_token(presented, client_id=party.client_id)
        session, at = found.session, now or found.now
        judged = judge_token(session, presented, at, idle=party.idle)
        answers = party.ask(session, judged, actor)
        decision = decide(session, judged, at, actor, answers)
        verdict = decision.verdict
        # Where no answer can be made, nothing is spent for it; but what shows a theft is not lost.
        writes = judged.is_twin if answers.error else not if_it_counts or verdict.counts_against
        if (verdict.issue is None or writes) and not carry_out(session, decision, actor):
            continue
        if verdict.issue is None or writes:
            count_verdict(verdict)
        if verdict.issue is None:
            raise _refusal(session, verdict, at)
        if answers.error:
            raise answers.error
        return session, verdict, answers
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
    verdict = judge_token(found.session, presented, found.now)
    return found if verdict.issue is not None and not verdict.is_twin else None


def _refusal(session: DeviceSession, verdict: Verdict, now: datetime) -> RefreshError:
    if verdict.refusal is Refusal.CONFLICT:
        return RefreshConflict("it was spent and its successor is in use", sid=session.pk)
    if verdict.refusal is Refusal.REUSED:
        text, lost = "it was spent before; the session has been ended", session.answers_lost
        return RefreshReused(text, sid=session.pk, answers_lost=lost, ended_at=now)
    reason = verdict.end or session.end_reason
    return SessionEnded(
        reason,
        sid=session.pk,
        replaced_by=session.replaced_by,
        answers_lost=session.answers_lost,
        ended_at=ended_at(session, reason, now),
    )
