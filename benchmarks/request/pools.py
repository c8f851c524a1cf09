"""Thousands of sessions, each request another's: what a process remembers is cold, or has been evicted.

*First use*: a session that this process has not seen, one request each. *Again*: drawn from all, after every
session has been here once; so a process remembers what it can of so many.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from statistics import median

from benchmarks.peers.contestants import Contestant, Place
from benchmarks.peers.many import Pool
from benchmarks.peers.process import Caller, Here, There, noted_statements, together
from benchmarks.peers.tables import spread, table

BLOCK = 100
WARM_UP = 200
COUNTED = 100
PHASES = ("first", "again")
#: Those of whom a process remembers anything from one request to the next.
REMEMBERS = ("authx",)


class Desk(Here):
    """Answers requests of many sessions."""

    def fill(self, size: int) -> None:
        self.open_connection()
        # Sessions of their own for the warm-up: interpreter and connection, but nobody of the pool.
        self.caller = Caller("/hello/")
        self.pool = Pool(self.contestant.kind, WARM_UP, f"{self.contestant.name} warm-up {size}")
        self._ask(list(range(WARM_UP)))
        self.pool = Pool(self.contestant.kind, size, f"{self.contestant.name} of {size}")
        self.drawn = Random(size)
        self.unseen = list(self.pool.everybody(self.drawn))
        self.seen: list[int] = []

    def take(self, phase: str, requests: int) -> list[int]:
        """Nanoseconds of each of so many requests, with what the process does after the answer."""
        return self._ask(self._draw(phase, requests))

    def statements_of(self, phase: str, requests: int) -> float:
        """SQL statements of a request."""
        places = self._draw(phase, requests)
        with noted_statements() as seen:
            self._ask(places)
        return len(seen) / requests

    def visit(self) -> None:
        """Have every session ask once."""
        while self.unseen:
            self._ask(self._draw("first", min(500, len(self.unseen))))

    def _draw(self, phase: str, requests: int) -> list[int]:
        if phase == "again":
            return self.drawn.choices(self.seen, k=requests)
        found, self.unseen = self.unseen[:requests], self.unseen[requests:]
        self.seen += found
        return found

    def _ask(self, places: Sequence[int]) -> list[int]:
        headers = [self.pool.headers(place) for place in places]  # tokens are signed before the clock runs
        return [sum(self.caller.took(one)) for one in headers]


@dataclass
class Result:
    """One contestant with one size of pool; by phase."""

    name: str
    size: int
    multiples: dict[str, list[float]] = field(default_factory=lambda: {phase: [] for phase in PHASES})
    statements: dict[str, float] = field(default_factory=dict)


def measure(
    contestants: Sequence[Contestant], place: Place, size: int, *, runs: int, requests: int
) -> list[Result]:
    results = [Result(one.name, size) for one in contestants]
    with ExitStack() as stack:
        desks = [stack.enter_context(There(one, place, Desk)) for one in contestants]
        together(desks, "fill", size)
        for run in range(runs):
            _run("first", results, desks, requests, Random(run))
        for result, desk in zip(results, desks, strict=True):
            result.statements["first"] = desk.ask("statements_of", "first", COUNTED)
        together([desk for desk in desks if desk.contestant.kind in REMEMBERS], "visit")
        for run in range(runs):
            _run("again", results, desks, requests, Random(run))
        for result, desk in zip(results, desks, strict=True):
            result.statements["again"] = desk.ask("statements_of", "again", COUNTED)
    return results


def _run(phase: str, results: Sequence[Result], desks: Sequence[There], requests: int, drawn: Random) -> None:
    turns = list(range(len(desks)))
    times: dict[int, list[int]] = {turn: [] for turn in turns}
    for _ in range(0, requests, BLOCK):
        for turn in drawn.sample(turns, len(turns)):
            times[turn] += desks[turn].ask("take", phase, BLOCK)
    floor = median(times[0])
    for turn, result in enumerate(results):
        result.multiples[phase].append(median(times[turn]) / floor)


def report(by_size: Sequence[Sequence[Result]]) -> str:
    titles = [""]
    for results in by_size:
        size = f"{results[0].size:,}"
        titles += [f"{size}: first use", "SQL", f"{size}: again", "SQL"]
    lines = []
    for same in zip(*by_size, strict=True):
        cells = [same[0].name]
        for one in same:
            for phase in PHASES:
                cells += [spread(one.multiples[phase]), f"{one.statements[phase]:.2g}"]
        lines.append(cells)
    return table(titles, lines)
