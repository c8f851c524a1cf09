"""Which transitions of a refresh token lead a session from which state to which, asked of the code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, Final

from authx.core.reasons import EndReason
from authx.core.rotation import (
    LATE_PERIOD,
    LATE_STREAK_LIMIT,
    TWIN_STREAK_LIMIT,
    RotationState,
    Transition,
    judge,
)

PENDING, CONFIRMED, STRUCK, ENDED = STATES = ("PENDING", "CONFIRMED", "STRUCK", "ENDED")
LIVE: Final = (PENDING, CONFIRMED, STRUCK)
HOUR: Final = timedelta(hours=1)
#: What ends a session only when it comes again.
COUNTED: Final = {
    Transition.LATE_REPLAY: f"{LATE_STREAK_LIMIT} times or more, over {LATE_PERIOD // HOUR} hour",
    Transition.TWIN: f"{TWIN_STREAK_LIMIT} in a row",
}
START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRACE: Final = timedelta(seconds=30)
IDLE: Final = timedelta(days=7)

#: From which state to which.
Step = tuple[str, str]


def sessions() -> Iterator[tuple[RotationState, timedelta]]:
    """Yield sessions in each state, and how long after their rotation they are in it at the earliest."""
    pending = RotationState(
        generation=5,
        confirmed_generation=4,
        rotated_at=START,
        idle_expires_at=START + IDLE,
        expires_at=START + 4 * IDLE,
        spent_branch=1,
    )
    confirmed = replace(pending, confirmed_generation=5)
    struck = replace(confirmed, strike_generation=4, strike_at=START + GRACE)
    for state, since in ((pending, timedelta(0)), (confirmed, timedelta(0)), (struck, GRACE)):
        yield state, since
        yield replace(state, twin_generation=3, twin_streak=1), since
    yield replace(pending, late_streak=LATE_STREAK_LIMIT - 1, late_at=START - LATE_PERIOD), timedelta(0)
    yield replace(confirmed, end_reason=EndReason.KICKED), timedelta(0)


def state_of(state: RotationState) -> str:
    """Return which of ``STATES`` a session is in."""
    if state.end_reason:
        return ENDED
    if state.is_pending:
        return PENDING
    return STRUCK if state.strike_generation == state.generation - 1 else CONFIRMED


def transitions() -> dict[Step, set[Transition]]:
    """Return which transitions lead from which state to which, as ``judge`` decides."""
    found: dict[Step, set[Transition]] = {}
    waits = (timedelta(0), GRACE, 2 * GRACE, IDLE)
    for (state, since), presented, branch, wait, user_end in product(
        sessions(), range(3, 7), (1, 2), waits, (None, EndReason.USER_DELETED)
    ):
        now = START + since + wait
        verdict = judge(state, presented, branch=branch, now=now, grace=GRACE, idle=IDLE, user_end=user_end)
        changes: dict[str, Any] = {**verdict.changes} | ({"end_reason": verdict.end} if verdict.end else {})
        path = state_of(state), state_of(replace(state, **changes))
        found.setdefault(path, set()).add(verdict.transition)
    return found


def label(transition: Transition) -> str:
    """Return its number and its name in the code, in words: ``T4 late replay``."""
    return f"{transition} {transition.name.lower().replace('_', ' ')}"


def labels(transitions: Iterable[Transition], *, ending: bool = False) -> list[str]:
    """Return the labels of transitions in the code's order."""
    of = set(transitions)
    times = {transition: f", {count}" for transition, count in COUNTED.items() if ending}
    return [label(transition) + times.get(transition, "") for transition in Transition if transition in of]
