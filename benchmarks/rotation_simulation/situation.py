"""One moment of a schedule: the session's row, and what owner and thief hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from authx.core.rotation import LATE_PERIOD, RotationState
from benchmarks.rotation_simulation.server import START, Token

GRACE = timedelta(seconds=30)
NEVER = timedelta(days=36500)
FIRST = Token(1, 1)

OPENED = RotationState(
    generation=1,
    confirmed_generation=0,
    rotated_at=START,
    idle_expires_at=START + NEVER,
    expires_at=START + NEVER,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """``late`` are answers and ``sent`` requests of the owner's that are still under way.

    ``owners`` and ``thiefs`` are the generations of which each was handed an access token, and ``copied`` the
    one that was copied; None before that. ``before`` is what the row was before its last write.
    """

    row: RotationState = OPENED
    now: datetime = START
    jar: Token = FIRST
    late: tuple[Token, ...] = ()
    sent: tuple[Token, ...] = ()
    loot: frozenset[Token] = frozenset()
    copied: int | None = None
    owners: frozenset[int] = frozenset({1})
    thiefs: frozenset[int] = frozenset()
    branches: int = 1
    before: RotationState | None = None
    writes_to_lose: int = 0

    @property
    def widest(self) -> int:
        """The last generation that both were served in, counted from the copied one; -1 if none."""
        if self.copied is None:
            return -1
        return max((g - self.copied for g in self.owners & self.thiefs), default=-1)

    @property
    def can_be_shared(self) -> bool:
        """Whether owner and thief can still be served both: a token of an older generation only ends it."""
        oldest = self.row.generation - 1 - self.writes_to_lose
        held = (self.jar, *self.late, *self.sent)
        alive = self.copied is None or any(token.generation >= oldest for token in self.loot)
        return alive and any(token.generation >= oldest for token in held)

    def key(self) -> tuple[object, ...]:
        """All that can be told apart from here on: generations and branches have no names of their own."""
        base = self.row.generation
        recent = range(base - 1 - self.writes_to_lose, base + 2)
        return (
            _row_key(self.row, base, self.now),
            _row_key(self.before, base, self.now) if self.before and self.writes_to_lose else None,
            self.writes_to_lose,
            self._tokens(base, recent.start),
            None if self.copied is None else (base - self.copied, self.widest),
            tuple((g in self.owners, g in self.thiefs) for g in recent),
        )

    def _tokens(self, base: int, oldest: int) -> tuple[object, ...]:
        """Each token by who holds it; those too old are all the same, and so are more than two of a kind."""
        sent, late, kinds = Counter(self.sent), Counter(self.late), Counter[object]()
        spent = {row.spent_branch for row in (self.row, self.before) if row}
        for token in {self.jar, *self.late, *self.sent, *self.loot}:
            age = max(token.generation, oldest - 1) - base
            marks = (
                (token.branch == self.row.spent_branch, token.branch in spent) if age >= oldest - base else ()
            )
            kinds[(age, marks, token == self.jar, late[token], sent[token], token in self.loot)] += 1
        return tuple(sorted((str(kind), min(number, 2)) for kind, number in kinds.items()))


def _row_key(row: RotationState, base: int, now: datetime) -> tuple[object, ...]:
    spent = row.generation - 1
    strike = row.strike_at if row.strike_generation == spent else None
    twin = row.twin_generation if row.twin_generation in (spent, spent - 1) else None
    late = row.late_at if row.late_streak else None
    return (
        row.generation - base,
        row.is_pending,
        row.spent_branch is None,
        _age(row.rotated_at, now, GRACE),
        _age(strike, now, GRACE),
        twin and (spent - twin, row.twin_streak),
        min(row.late_streak, 6),
        _age(late, now, LATE_PERIOD) == LATE_PERIOD,
    )


def _age(at: datetime | None, now: datetime, limit: timedelta) -> timedelta | None:
    return None if at is None else min(now - at, limit)


def without(tokens: Iterable[Token], token: Token) -> tuple[Token, ...]:
    """All of these but one of that kind."""
    rest = list(tokens)
    rest.remove(token)
    return tuple(rest)
