"""Has the contestants' pages answered in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median

from benchmarks.pages.site import VIEWS
from benchmarks.peers.process import There

BLOCK = 50
COUNTED = 100

Figures = dict[str, list[float]]


def _empty() -> Figures:
    return {view: [] for view in VIEWS}


@dataclass
class Way:
    """One contestant's figures by WSGI or by ASGI, for each page; lists are of runs."""

    multiples: Figures = field(default_factory=_empty)
    micro: Figures = field(default_factory=_empty)
    #: Microseconds of processor time.
    cpu: Figures = field(default_factory=_empty)


@dataclass
class Result:
    """One contestant's figures."""

    name: str
    wsgi: Way = field(default_factory=Way)
    asgi: Way = field(default_factory=Way)
    statements: dict[str, float] = field(default_factory=dict)
    #: Thread hops of the async page, and of the sync one, under ASGI.
    hops: dict[str, float] = field(default_factory=dict)
    sync_hops: dict[str, float] = field(default_factory=dict)


def by_wsgi(results: Sequence[Result], desks: Sequence[There], *, runs: int, requests: int) -> None:
    for run in range(runs):
        _run([one.wsgi for one in results], desks, "take", requests, Random(run))
    for result, desk in zip(results, desks, strict=True):
        for view in VIEWS:
            result.statements[view] = desk.ask("statements_of", view, COUNTED)


def by_asgi(results: Sequence[Result], desks: Sequence[There], *, runs: int, requests: int) -> None:
    for run in range(runs):
        _run([one.asgi for one in results], desks, "take_async", requests, Random(run))
    for result, desk in zip(results, desks, strict=True):
        for view in VIEWS:
            result.hops[view] = desk.ask("hops", f"/async/{view}/", COUNTED)
            result.sync_hops[view] = desk.ask("hops", f"/{view}/", COUNTED)
        desk.ask("close")


def _run(ways: Sequence[Way], desks: Sequence[There], method: str, requests: int, drawn: Random) -> None:
    turns = [(place, view) for place in range(len(desks)) for view in VIEWS]
    times: dict[tuple[int, str], list[int]] = {turn: [] for turn in turns}
    busy: dict[tuple[int, str], list[float]] = {turn: [] for turn in turns}
    for _ in range(0, requests, BLOCK):
        drawn.shuffle(turns)
        for turn in turns:
            took, cpu = desks[turn[0]].ask(method, turn[1], BLOCK)
            times[turn] += took
            busy[turn].append(cpu)
    for (place, view), took in times.items():
        middle = median(took)
        ways[place].micro[view].append(middle / 1000)
        ways[place].multiples[view].append(middle / median(times[0, view]))
        ways[place].cpu[view].append(median(busy[place, view]))
