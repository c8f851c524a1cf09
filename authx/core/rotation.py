"""The whole refresh policy: what a genuine refresh token does to its session.

A session issues numbered refresh tokens; ``generation`` is the last number issued and
``confirmed_generation`` the last one seen in use. PENDING means the newest has not come back yet,
CONFIRMED that it has. Only the counters decide order; the clock decides nothing but how long a
spent token stays harmless (GRACE) and what has expired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from authx.core.reasons import EndReason
from authx.core.time_limits import expiry_reason, idle_expiry

#: Most generations in a row that may lose their response before it is treated as theft.
LATE_STREAK_LIMIT = 3


class Row(StrEnum):
    """The row of the state machine that decided, as audit events name it."""

    USER_GONE = "T0"
    ROTATE = "T1"
    KEEP = "T1b"
    REPLAY = "T3"
    LATE_REPLAY = "T4"
    STRIKE = "T5"
    STRIKE_AGAIN = "T5b"
    REUSE_AFTER_STRIKE = "T6"
    REUSE = "T7"
    ROLLBACK = "T8"
    EXPIRED = "T10"
    ENDED = "T11"


class Refusal(StrEnum):
    """Why no token is returned."""

    CONFLICT = "conflict"
    REUSED = "reused"
    ENDED = "ended"


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
    late_generation: int | None = None
    late_streak: int = 0
    end_reason: str | None = None

    @property
    def is_pending(self) -> bool:
        return self.confirmed_generation < self.generation

    def expiry_reason(self, now: datetime) -> str | None:
        """Return ``idle`` or ``expired``, whichever came first; None while neither has."""
        return expiry_reason(self.idle_expires_at, self.expires_at, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do: columns to set, the generation whose token to return, or why none is."""

    row: Row
    issue: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    end: str | None = None
    refusal: Refusal | None = None


def judge(
    state: RotationState,
    presented: int,
    *,
    now: datetime,
    grace: timedelta,
    idle: timedelta,
    user_end: str | None = None,
) -> Verdict:
    """Decide on a genuine refresh token of generation ``presented``.

    ``user_end`` is the reason the user's own state gives to end the session, or None (RFC 9700 §4.14.2).
    """
    if state.end_reason is not None:
        return Verdict(row=Row.ENDED, refusal=Refusal.ENDED)
    if expiry := state.expiry_reason(now):
        return Verdict(row=Row.EXPIRED, end=expiry, refusal=Refusal.ENDED)
    if user_end:
        return Verdict(row=Row.USER_GONE, end=user_end, refusal=Refusal.ENDED)
    idle_expires_at = idle_expiry(now, idle, state.expires_at)
    in_grace = now < state.rotated_at + grace
    if presented > state.generation:  # our storage was rolled back: never punish the client for it
        return _rotate(Row.ROLLBACK, presented, now, idle_expires_at, late_streak=0)
    if presented == state.generation:
        if in_grace:
            changes = {"confirmed_generation": presented} if state.is_pending else {}
            return Verdict(row=Row.KEEP, issue=presented, changes=changes)
        streak = state.late_streak if state.late_generation == presented else 0
        return _rotate(Row.ROTATE, presented, now, idle_expires_at, late_streak=streak)
    if presented < state.generation - 1:
        return _reuse(Row.REUSE)
    if in_grace:
        return Verdict(row=Row.REPLAY, issue=state.generation)
    if state.is_pending:
        return _late(state, now, idle_expires_at)
    if state.strike_generation != presented or state.strike_at is None:
        strike = {"strike_generation": presented, "strike_at": now}
        return Verdict(row=Row.STRIKE, changes=strike, refusal=Refusal.CONFLICT)
    if now < state.strike_at + grace:
        return Verdict(row=Row.STRIKE_AGAIN, refusal=Refusal.CONFLICT)
    return _reuse(Row.REUSE_AFTER_STRIKE)


def _rotate(row: Row, spent: int, now: datetime, idle_expires_at: datetime, *, late_streak: int) -> Verdict:
    changes = {
        "generation": spent + 1,
        "confirmed_generation": spent,
        "rotated_at": now,
        "idle_expires_at": idle_expires_at,
        "late_streak": late_streak,
    }
    return Verdict(row=row, issue=spent + 1, changes=changes)


def _late(state: RotationState, now: datetime, idle_expires_at: datetime) -> Verdict:
    """Return the successor again, which was never used: its response was lost, or a thief holds it.

    The grace period starts again, for the burst of tabs that finds the loss as for any other.
    """
    changes: dict[str, Any] = {"rotated_at": now}
    if state.late_generation != state.generation:
        if state.late_streak >= LATE_STREAK_LIMIT:
            return _reuse(Row.LATE_REPLAY)
        changes |= {
            "late_generation": state.generation,
            "late_streak": state.late_streak + 1,
            "idle_expires_at": idle_expires_at,
        }
    return Verdict(row=Row.LATE_REPLAY, issue=state.generation, changes=changes)


def _reuse(row: Row) -> Verdict:
    return Verdict(row=row, end=EndReason.REUSED, refusal=Refusal.REUSED)
