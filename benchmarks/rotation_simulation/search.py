"""Search all schedules of an owner, one copy of the jar and a clock: in which generations can both be served?

Breadth first, and each situation once: two schedules that the judge cannot tell apart from here on are one.
That leaves finitely many, so a search without ``depth`` ends by itself, with schedules of every length seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.rotation_simulation.moves import Moves
from benchmarks.rotation_simulation.situation import Situation


@dataclass(frozen=True, slots=True)
class Found:
    """``widest`` is the last generation in which both were served, counted from the copied one.

    ``schedule`` is a shortest one that leads there; ``is_complete``: nothing was left out for its length.
    """

    widest: int
    schedule: tuple[str, ...]
    situations: int
    depth: int
    is_complete: bool


def search(moves: Moves, *, depth: int | None = None, writes_to_lose: int = 0, stop_at: int = 9) -> Found:
    """Follow every schedule of ``depth`` steps; stop where a generation as far as ``stop_at`` is shared."""
    first = Situation(writes_to_lose=writes_to_lose)
    seen = {first.key()}
    here: list[tuple[Situation, tuple[str, ...]]] = [(first, ())]
    schedule: tuple[str, ...] = ()
    widest = -1
    level = 0
    while here and level != depth and widest < stop_at:
        level += 1
        there = []
        for situation, path in _steps(moves, here):
            if (key := situation.key()) in seen:
                continue
            seen.add(key)
            there.append((situation, path))
            if situation.widest > widest:
                widest, schedule = situation.widest, path
        here = there
    return Found(widest, schedule, len(seen), level, is_complete=not here)


def _steps(
    moves: Moves, level: list[tuple[Situation, tuple[str, ...]]]
) -> Iterator[tuple[Situation, tuple[str, ...]]]:
    for situation, path in level:
        for what, after in moves.after(situation):
            if after.can_be_shared:
                yield after, (*path, what)
