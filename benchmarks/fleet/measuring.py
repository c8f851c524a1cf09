"""Fleets of several sizes and stores, all at the same time, each behind a proxy of its own that counts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any

from benchmarks.fleet.worker import Worker
from benchmarks.peers.contestants import Contestant, Place
from benchmarks.peers.place import proxy_of, through
from benchmarks.peers.process import There, together
from benchmarks.peers.proxy import Count

MINUTE = 60.0


@dataclass
class Fleet:
    """So many workers of one contestant, and what went between them and the database."""

    contestant: Contestant
    size: int
    #: While each worker, just started, answered each session once.
    cold: Count = field(default_factory=Count)
    #: In each minute after that.
    minutes: list[Count] = field(default_factory=list)

    @property
    def usual(self) -> Count:
        """The last minute: by then everybody has been here for more than one."""
        return self.minutes[-1]


class _Running:
    """A fleet's processes."""

    def __init__(self, fleet: Fleet, place: Place, stack: ExitStack) -> None:
        self.fleet, self.proxy = fleet, proxy_of(place)
        here = through(self.proxy, place)
        self.workers = [stack.enter_context(There(fleet.contestant, here, Worker)) for _ in range(fleet.size)]

    def begin(self, sessions: int) -> None:
        together(self.workers, "open", self.workers[0].ask("fill", sessions))

    def schedule(self, sessions: int, asks: int, minutes: int, drawn: Random) -> list[Any]:
        """For each worker, when it answers whom: each session asks so often a minute, anybody."""
        turns: list[list[tuple[float, int]]] = [[] for _ in self.workers]
        for number in range(sessions * asks * minutes):
            minute, place = divmod(number, sessions * asks)
            turn = MINUTE * (minute + drawn.random()), place % sessions
            drawn.choice(turns).append(turn)
        return [sorted(one) for one in turns]


def measure(
    contestants: Sequence[Contestant],
    place: Place,
    sizes: Sequence[int],
    *,
    sessions: int,
    asks: int,
    minutes: int,
) -> list[Fleet]:
    fleets = [Fleet(one, size) for one in contestants for size in sizes]
    with ExitStack() as stack:
        running = [_Running(fleet, place, stack) for fleet in fleets]
        for one in running:
            one.begin(sessions)
        for one in running:
            before = one.proxy.count()
            together(one.workers, "meet")
            one.fleet.cold = one.proxy.count() - before
        _serve(running, sessions, asks, minutes)
    return fleets


def _serve(running: Sequence[_Running], sessions: int, asks: int, minutes: int) -> None:
    begin = time.monotonic() + 1
    for seed, one in enumerate(running):
        turns = one.schedule(sessions, asks, minutes, Random(seed))
        for worker, its in zip(one.workers, turns, strict=True):
            worker.start("serve", its, begin)
    before = [one.proxy.count() for one in running]
    for minute in range(minutes):
        time.sleep(max(0.0, begin + MINUTE * (minute + 1) - time.monotonic()))
        after = [one.proxy.count() for one in running]
        for one, earlier, later in zip(running, before, after, strict=True):
            one.fleet.minutes.append(later - earlier)
        before = after
    for one in running:
        for worker in one.workers:
            worker.answer()
