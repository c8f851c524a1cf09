"""One session that asks again and again: a view that needs no user, and one that reads its name.

Each run has processes of its own, one for each contestant; they answer a block of requests in turn, in an
order drawn anew each time, so that the noise of the machine falls on all alike. The multiples are taken
within a run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from statistics import median, quantiles
from typing import Any

from benchmarks.peers.contestants import FLOOR, Contestant, Place
from benchmarks.peers.doors import Held
from benchmarks.peers.process import Caller, Here, There, together
from benchmarks.peers.tables import spread, table

BLOCK = 200
#: Before anything is timed or counted: caches, first uses, the interpreter's own specializing.
WARM_UP = 400
COUNTED = 1000
#: Seconds after which a copy of whatever age is read afresh.
REST = 1.1
#: How long a logout is looked for, in seconds.
PATIENCE = 4.0
VIEWS = {"view": "/hello/", "user": "/hello-user/"}


@dataclass
class Result:
    """One contestant's figures. ``logout`` is the seconds until it was seen; None if it was not."""

    name: str
    #: Of each run, times the floor's median: the view that needs no user, and the one that reads its name.
    multiples: list[float] = field(default_factory=list)
    user_multiples: list[float] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    #: Microseconds of processor time of a request, in each run; the database server's is not in it.
    cpu: list[float] = field(default_factory=list)
    statements: float = 0
    redis_commands: float = 0
    logout: float | None = None

    def figures(self) -> dict[str, Any]:
        """What the chart is drawn from."""
        return {"name": self.name, "multiple": median(self.multiples), "logout": self.logout}


class Desk(Here):
    """Answers requests of one session at both views."""

    def open(self) -> Held:
        held = self.log_in()
        self.prepare(VIEWS["view"], held)
        self.callers = {name: Caller(path, held.headers) for name, path in VIEWS.items()}
        for name in VIEWS:
            self.take(name, WARM_UP)
        return held

    def take(self, name: str, requests: int) -> tuple[list[int], float]:
        """Nanoseconds of each of so many requests, and microseconds of processor time of one."""
        self.caller, began = self.callers[name], time.process_time_ns()
        times = self.block(requests)
        return times, (time.process_time_ns() - began) / requests / 1000

    def count(self) -> int:
        self.caller = self.callers["view"]
        return len(self.statements(COUNTED))


def measure(contestants: Sequence[Contestant], place: Place, *, runs: int, requests: int) -> list[Result]:
    results = [Result(one.name) for one in contestants]
    for run in range(runs):
        with ExitStack() as stack:
            desks = [stack.enter_context(There(one, place, Desk)) for one in contestants]
            helds = together(desks, "open")
            _run(results, desks, requests, Random(run))
            if run == runs - 1:
                _count(results, desks, place)
                _log_out(results, desks, helds, contestants, place)
    return results


def _run(results: Sequence[Result], desks: Sequence[There], requests: int, drawn: Random) -> None:
    turns = [(place, view) for place in range(len(desks)) for view in VIEWS]
    times: dict[tuple[int, str], list[int]] = {turn: [] for turn in turns}
    cpu: dict[tuple[int, str], list[float]] = {turn: [] for turn in turns}
    for _ in range(0, requests, BLOCK):
        drawn.shuffle(turns)
        for turn in turns:
            took, busy = desks[turn[0]].ask("take", turn[1], BLOCK)
            times[turn] += took
            cpu[turn].append(busy)
    floor = median(times[0, "view"])
    for place, result in enumerate(results):
        result.times += times[place, "view"]
        result.cpu.append(median(cpu[place, "view"]))
        result.multiples.append(median(times[place, "view"]) / floor)
        result.user_multiples.append(median(times[place, "user"]) / floor)


def redis_calls(place: Place) -> int:
    """How often our Redis has read from its clients: commands, but not those within a script."""
    if not place.redis:
        return 0
    from redis import Redis

    with Redis.from_url(place.redis) as client:
        stats: dict[str, Any] = client.info("stats")
    return int(stats["total_reads_processed"])


def _count(results: Sequence[Result], desks: Sequence[There], place: Place) -> None:
    for result, desk in zip(results, desks, strict=True):
        earlier, before = redis_calls(place), redis_calls(place)  # between them is what asking costs
        result.statements = desk.ask("count") / COUNTED
        commands = redis_calls(place) - before - (before - earlier)
        result.redis_commands = commands / COUNTED


def _log_out(
    results: Sequence[Result],
    desks: Sequence[There],
    helds: Sequence[Held],
    contestants: Sequence[Contestant],
    place: Place,
) -> None:
    """Another process logs each out; all look at once how long they are let in."""
    with ExitStack() as stack:
        doors = [stack.enter_context(There(one, place)) for one in contestants]
        together(doors, "open_connection")
        time.sleep(REST)
        for desk, door, held in zip(desks, doors, helds, strict=True):
            desk.ask("block", 1)  # whoever keeps a copy has just read it: the worst case for the logout
            door.ask("log_out", held)
            desk.start("refused_after", PATIENCE)
        for result, desk in zip(results, desks, strict=True):
            result.logout = desk.answer()


def logout_words(result: Result) -> str:
    if result.name == FLOOR:
        return "-"
    if result.logout is None:
        return "not until it expires"
    return "at once" if result.logout == 0 else f"after {result.logout:.1f} s"


def report(results: Sequence[Result]) -> str:
    titles = ["", "times the floor", "reading the user's name", "median µs", "p99 µs", "CPU µs"]
    titles += ["SQL statements", "Redis commands", "logout seen"]
    lines = [
        (
            one.name,
            spread(one.multiples),
            spread(one.user_multiples),
            f"{median(one.times) / 1000:.0f}",
            f"{quantiles(one.times, n=100)[98] / 1000:.0f}",
            f"{median(one.cpu):.0f}",
            f"{one.statements:.3g}",
            f"{one.redis_commands:.3g}",
            logout_words(one),
        )
        for one in results
    ]
    return table(titles, lines)
