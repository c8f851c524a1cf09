"""The whole refresh policy: what a genuine refresh token does to its session.

A session issues numbered refresh tokens; ``generation`` is the last number issued and
``confirmed_generation`` the last one seen in use. PENDING means the newest has not come back yet,
CONFIRMED that it has. Only the counters decide order; the clock decides nothing but how long a
spent token stays harmless (GRACE), how long answers may go on being lost, and what has expired.

Each answer carries a token on a branch of its own, and a jar keeps only the last that arrived.
``spent_branch`` is the branch that the last rotation was asked with; another branch of that generation
that comes back is a twin: it comes from a second jar, a copy. A bad network makes a twin now and then, a
copy makes one in every generation that both use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import Any

from authx.core.reasons import EndReason
from authx.core.time_limits import expiry_reason, idle_expiry

#: The late replay of one generation that ends the session, if LATE_PERIOD has passed since the first.
LATE_STREAK_LIMIT = 6
LATE_PERIOD = timedelta(hours=1)
#: How many generations in a row with a twin end the session.
TWIN_STREAK_LIMIT = 2


class Transition(StrEnum):
    """The transition of the state machine that was decided on, as audit events name it."""

    USER_GONE = "T0"
    ROTATE = "T1"
    KEEP = "T1b"
    REPLAY = "T3"
    TWIN = "T3x"
    LATE_REPLAY = "T4"
    STRIKE = "T5"
    STRIKE_AGAIN = "T5b"
    REUSE_AFTER_STRIKE = "T6"
    REUSE = "T7"
    ROLLBACK = "T8"
    EXPIRED = "T10"
    ENDED = "T11"


class Refusal(Enum):
    """Why no token is returned."""

    CONFLICT = auto()
    REUSED = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationState:
    """What a session remembers of its refresh tokens; datetimes are aware."""

    generation: int
    confirmed_generation: int
    rotated_at: datetime
    idle_expires_at: datetime
    expires_at: datetime
    strike_generation: int | None = None
    strike_at: datetime | None = None
    late_streak: int = 0
    late_at: datetime | None = None
    spent_branch: int | None = None
    twin_generation: int | None = None
    twin_streak: int = 0
    end_reason: str | None = None

    @property
    def is_pending(self) -> bool:
        """Return whether the newest token has not been seen in use."""
        return self.confirmed_generation < self.generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do: columns to set, the generation whose token to return, or why none is."""

    transition: Transition
    issue: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    end: str | None = None
    refusal: Refusal | None = None
    #: Whether the token is the first twin of its generation; ``changes`` note it.
    is_twin: bool = False
    #: Whether the session ends because its answers kept getting lost: nobody need have copied it.
    answers_lost: bool = False

    @property
    def counts_against(self) -> bool:
        """Return whether it must be carried out even where nothing is handed out: a flood hides no theft."""
        return self.issue is None or self.is_twin or self.transition is Transition.LATE_REPLAY


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A session, the token that was presented to it, and the clock."""

    state: RotationState
    presented: int
    now: datetime
    grace: timedelta
    idle: timedelta

    @property
    def idle_expires_at(self) -> datetime:
        return idle_expiry(self.now, self.idle, self.state.expires_at)


def judge(
    state: RotationState,
    presented: int,
    *,
    branch: int,
    now: datetime,
    grace: timedelta,
    idle: timedelta,
    user_end: str | None = None,
) -> Verdict:
    """Decide on a genuine refresh token of generation ``presented`` and of ``branch``.

    ``idle`` is the ``idle_period``: how long the session may go without the next refresh.
    ``user_end`` is the reason the user's own state gives to end the session, or None (RFC 9700 §4.14.2).
    """
    if state.end_reason is not None:
        return Verdict(transition=Transition.ENDED, refusal=Refusal.ENDED)
    if expiry := expiry_reason(state.idle_expires_at, state.expires_at, now):
        return Verdict(transition=Transition.EXPIRED, end=expiry, refusal=Refusal.ENDED)
    if user_end:
        return Verdict(transition=Transition.USER_GONE, end=user_end, refusal=Refusal.ENDED)
    case = _Case(state=state, presented=presented, now=now, grace=grace, idle=idle)
    if presented > state.generation:  # our storage was rolled back: never punish the client for it
        return _rotate(Transition.ROLLBACK, case, branch)
    if presented == state.generation:
        return _judge_current(case, branch)
    if presented < state.generation - 1:
        return _reuse(Transition.REUSE)
    twin = _note_twin(case, branch)
    if twin.get("twin_streak", 0) >= TWIN_STREAK_LIMIT:
        return replace(_reuse(Transition.TWIN), changes=twin, is_twin=True)
    verdict = _judge_spent(case)
    return replace(verdict, changes={**verdict.changes, **twin}, is_twin=True) if twin else verdict


def _judge_current(case: _Case, branch: int) -> Verdict:
    state = case.state
    if case.now >= state.rotated_at + case.grace:
        return _rotate(Transition.ROTATE, case, branch)
    changes = {"confirmed_generation": case.presented} if state.is_pending else {}
    return Verdict(transition=Transition.KEEP, issue=case.presented, changes=changes)


def _rotate(transition: Transition, case: _Case, branch: int) -> Verdict:
    changes = {
        "generation": case.presented + 1,
        "confirmed_generation": case.presented,
        "rotated_at": case.now,
        "idle_expires_at": case.idle_expires_at,
        "spent_branch": branch,
        "late_streak": 0,
    }
    return Verdict(transition=transition, issue=case.presented + 1, changes=changes)


def _note_twin(case: _Case, branch: int) -> dict[str, Any]:
    """Return the columns that note a twin: nothing if it is none, or its generation has one noted already."""
    state = case.state
    if state.spent_branch in (None, branch) or state.twin_generation == case.presented:
        return {}
    in_a_row = state.twin_generation == case.presented - 1
    return {"twin_generation": case.presented, "twin_streak": state.twin_streak + 1 if in_a_row else 1}


def _judge_spent(case: _Case) -> Verdict:
    """Decide on the token whose successor is the newest."""
    state, now = case.state, case.now
    if abs(now - state.rotated_at) < case.grace:  # on either side: a clock put back revives nothing
        return Verdict(transition=Transition.REPLAY, issue=state.generation)
    if state.is_pending:
        return _replay_late(case)
    if state.strike_generation != case.presented or state.strike_at is None:
        strike = {"strike_generation": case.presented, "strike_at": now}
        return Verdict(transition=Transition.STRIKE, changes=strike, refusal=Refusal.CONFLICT)
    if now < state.strike_at + case.grace:
        return Verdict(transition=Transition.STRIKE_AGAIN, refusal=Refusal.CONFLICT)
    return _reuse(Transition.REUSE_AFTER_STRIKE)


def _replay_late(case: _Case) -> Verdict:
    """Return the successor again, which was never used: its answer was lost, or a thief holds it.

    The grace period starts again, for the burst of tabs that finds the loss as for any other. Counted within
    one generation and over an hour: otherwise an outage that loses answers would end everybody's session.
    """
    state, now = case.state, case.now
    first_at = state.late_at if state.late_streak and state.late_at else now
    streak = state.late_streak + 1
    if streak >= LATE_STREAK_LIMIT and now >= first_at + LATE_PERIOD:
        return replace(_reuse(Transition.LATE_REPLAY), answers_lost=True)
    changes = {
        "rotated_at": now,
        "late_streak": streak,
        "late_at": first_at,
        "idle_expires_at": case.idle_expires_at,
    }
    return Verdict(transition=Transition.LATE_REPLAY, issue=state.generation, changes=changes)


def _reuse(transition: Transition) -> Verdict:
    return Verdict(transition=transition, end=EndReason.REUSED, refusal=Refusal.REUSED)
