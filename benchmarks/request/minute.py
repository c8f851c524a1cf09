"""The first request of a session in a minute, beside its second; and what is written for it, and when.

Every session has been here before. Then nobody asks for a minute; then each session asks once, and soon
again. After another minute one request comes, and what has been gathered is written after its answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from statistics import median

from benchmarks.peers.contestants import Contestant, Place
from benchmarks.peers.many import Pool
from benchmarks.peers.process import Caller, Here, There, noted_statements, together
from benchmarks.peers.tables import spread, table

BLOCK = 50
COUNTED = 50
#: Seconds in which nobody asks.
MINUTE = 61.0


class Desk(Here):
    """Answers requests of sessions that were not here for a minute."""

    def open(self, sessions: int) -> None:
        self.open_connection()
        self.caller = Caller("/hello/")
        self.pool = Pool(self.contestant.kind, sessions + COUNTED + 1, f"{self.contestant.name} by minute")
        for place in range(len(self.pool)):
            for _ in range(3):
                self.caller.took(self.pool.headers(place))

    def block(self, begin: int) -> dict[str, list[int]]:  # type: ignore[override]
        """Nanoseconds of a block of first requests, until the answer and after it, and of second ones.

        Each second request is of a session of the block before, and comes right before a first one, so that
        both find the processor's caches in the same state.
        """
        found: dict[str, list[int]] = {"first": [], "after": [], "hot": []}
        for place in range(begin, begin + BLOCK):
            if begin:
                found["hot"].append(self.caller.took(self.pool.headers(place - BLOCK))[0])
            answered, after = self.caller.took(self.pool.headers(place))
            if begin:
                found["first"].append(answered)
                found["after"].append(after)
        return found

    def count(self) -> float:
        """SQL statements of a first request."""
        with noted_statements() as seen:
            for place in range(len(self.pool) - COUNTED, len(self.pool)):
                self.caller.took(self.pool.headers(place))
        return len(seen) / COUNTED

    def flush(self) -> tuple[int, int, int]:
        """Of one request: nanoseconds until its answer and after it, and SQL statements."""
        with noted_statements() as seen:
            answered, after = self.caller.took(self.pool.headers(len(self.pool) - COUNTED - 1))
        return answered, after, len(seen)


@dataclass
class Result:
    """One contestant's: ``multiples`` are those of a first request to a second, in each run."""

    name: str
    sessions: int
    multiples: list[float] = field(default_factory=list)
    hot: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    statements: float = 0
    flush: tuple[int, int, int] = (0, 0, 0)


def measure(contestants: Sequence[Contestant], place: Place, *, runs: int, sessions: int) -> list[Result]:
    blocks = max(1, sessions // BLOCK)
    sessions = (runs * blocks + 1) * BLOCK  # of the first block none is timed
    results = [Result(one.name, sessions) for one in contestants]
    with ExitStack() as stack:
        desks = [stack.enter_context(There(one, place, Desk)) for one in contestants]
        together(desks, "open", sessions)
        time.sleep(MINUTE)
        together(desks, "flush")  # what is written of those before is none of theirs
        together(desks, "block", 0)
        for run in range(runs):
            _run(results, desks, range(run * blocks + 1, (run + 1) * blocks + 1), Random(run))
        for result, count in zip(results, together(desks, "count"), strict=True):
            result.statements = count
        time.sleep(MINUTE)
        for result, desk in zip(results, desks, strict=True):
            result.flush = desk.ask("flush")
    return results


def _run(results: Sequence[Result], desks: Sequence[There], blocks: range, drawn: Random) -> None:
    turns = list(range(len(desks)))
    run = [Result(one.name, 0) for one in results]
    for block in blocks:
        for turn in drawn.sample(turns, len(turns)):
            took = desks[turn].ask("block", block * BLOCK)
            run[turn].first += took["first"]
            run[turn].hot += took["hot"]
            run[turn].after += took["after"]
    for result, one in zip(results, run, strict=True):
        result.multiples.append(median(one.first) / median(one.hot))
        result.first, result.hot = result.first + one.first, result.hot + one.hot
        result.after += one.after


def report(results: Sequence[Result]) -> str:
    titles = ["", "first / second", "second µs", "first µs", "after its answer µs", "SQL"]
    titles += ["a minute later, after an answer: ms", "SQL", "sessions"]
    lines = []
    for one in results:
        _answered, after, statements = one.flush
        micro = [f"{median(times) / 1000:.0f}" for times in (one.hot, one.first, one.after)]
        rest = (f"{one.statements:.2g}", f"{after / 1e6:.1f}", statements, one.sessions + COUNTED)
        lines.append((one.name, spread(one.multiples), *micro, *rest))
    return table(titles, lines)
