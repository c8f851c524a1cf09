"""Workers at once: how many requests they answer together, and what they write.

Each worker is a process; all draw from the same sessions, which have been here before, and ask as fast as
they are answered. Database, Redis and workers share the machine: compare lines, not machines.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from statistics import median

from benchmarks.peers.contestants import Contestant, Place
from benchmarks.peers.many import Pool
from benchmarks.peers.process import Caller, Here, There, together
from benchmarks.peers.tables import table

SESSIONS = 500


class Worker(Here):
    """One process of several that serve the same sessions."""

    def fill(self) -> list[dict[str, str]]:
        """Make the sessions; the headers of each."""
        pool = Pool(self.contestant.kind, SESSIONS, f"{self.contestant.name} {time.time_ns()}")
        return [pool.headers(place) for place in range(SESSIONS)]

    def meet(self, headers: list[dict[str, str]]) -> None:
        """Answer each of them once."""
        self.open_connection()
        self.caller, self.headers = Caller("/hello/"), headers
        for one in headers:
            self.caller.took(one)

    def serve(self, seed: int, seconds: float) -> list[int]:
        """Nanoseconds of each request that was answered in that time."""
        drawn, until, times = Random(seed), time.perf_counter() + seconds, []
        while time.perf_counter() < until:
            times.append(sum(self.caller.took(drawn.choice(self.headers))))
        return times


@dataclass
class Result:
    """What ``workers`` processes of one contestant did at once."""

    name: str
    workers: int
    requests_a_second: float
    median_us: float


def measure(
    contestants: Sequence[Contestant], place: Place, numbers: Sequence[int], *, runs: int, seconds: float
) -> list[Result]:
    found = []
    for contestant in contestants:
        with ExitStack() as stack:
            workers = [stack.enter_context(There(contestant, place, Worker)) for _ in range(max(numbers))]
            together(workers, "meet", workers[0].ask("fill"))
            for number in numbers:
                found.append(_serve(contestant.name, workers[:number], runs, seconds))
    return found


def _serve(name: str, workers: Sequence[There], runs: int, seconds: float) -> Result:
    rates, medians = [], []
    for run in range(runs):
        for place, worker in enumerate(workers):
            worker.start("serve", 100 * run + place, seconds)
        times = [took for worker in workers for took in worker.answer()]
        rates.append(len(times) / seconds)
        medians.append(median(times) / 1000)
    return Result(name, len(workers), median(rates), median(medians))


def report(results: Sequence[Result], numbers: Sequence[int]) -> str:
    titles = [""]
    for number in numbers:
        titles += [f"requests/s, {number} worker{'s' * (number > 1)}", "median µs"]
    found: dict[str, list[str]] = {}
    for one in results:
        found.setdefault(one.name, []).extend([f"{one.requests_a_second:,.0f}", f"{one.median_us:.0f}"])
    return table(titles, [(name, *cells) for name, cells in found.items()])
