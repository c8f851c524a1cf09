"""Has the contestants work in turn, and counts what goes between each and the database."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from random import Random
from statistics import median

from benchmarks.issuing.desk import BARE, LOGIN, OPEN, REFRESH, RENEW, Desk
from benchmarks.peers.contestants import Contestant, Place
from benchmarks.peers.place import proxy_of, through
from benchmarks.peers.process import There, together

BLOCK = 25
COUNTED = 20


@dataclass
class Result:
    """One contestant's figures, each by act."""

    name: str
    times: dict[str, list[int]] = field(default_factory=dict)
    #: Times the bare transaction of the same run, for each run.
    multiples: dict[str, list[float]] = field(default_factory=dict)
    #: Statements and transaction control, as Django counts them.
    counts: dict[str, tuple[float, float]] = field(default_factory=dict)
    #: Round trips and commits, as counted between process and server.
    trips: dict[str, tuple[float, float | None]] = field(default_factory=dict)


#: Whether a commit waits for the disk: yes, no, or for a disk that takes this many microseconds more.
ON, OFF, DISK = "on", "off", "disk"
DISK_MICROSECONDS = 2000
_POSTGRESQL = {
    ON: "-c synchronous_commit=on",
    OFF: "-c synchronous_commit=off",
    DISK: f"-c synchronous_commit=on -c commit_delay={DISK_MICROSECONDS} -c commit_siblings=0",
}


def durable(place: Place, word: str) -> Place:
    """The same with commits that wait for the disk, or do not; MariaDB as it is, which waits.

    A slow disk is made by PostgreSQL itself: by ``commit_delay`` a commit sleeps before it is flushed.
    """
    options = {**place.database.get("OPTIONS", {})}
    if "postgresql" in place.database["ENGINE"]:
        options["options"] = _POSTGRESQL[word]
    elif "sqlite" in place.database["ENGINE"] and word == ON:
        options["init_command"] += " PRAGMA synchronous=FULL;"
    return replace(place, database={**place.database, "OPTIONS": options})


def measure(contestants: Sequence[Contestant], place: Place, *, runs: int, logins: int) -> list[Result]:
    results = [Result(one.name) for one in contestants]
    for run in range(runs):
        with ExitStack() as stack:
            desks = [stack.enter_context(There(one, place, Desk)) for one in contestants]
            together(desks, "open")
            together(desks, "trade", BLOCK)  # untimed: first uses
            _run(results, desks, logins, Random(run))
            if run == runs - 1:
                for result, desk in zip(results, desks, strict=True):
                    result.counts = desk.ask("counted", COUNTED)
    if "sqlite" not in place.database["ENGINE"]:
        for result, contestant in zip(results, contestants, strict=True):
            _count_trips(result, contestant, place)
    return results


def _run(results: Sequence[Result], desks: Sequence[There], logins: int, drawn: Random) -> None:
    turns = list(range(len(desks)))
    times: list[dict[str, list[int]]] = [{} for _ in desks]
    for _ in range(0, logins, BLOCK):
        for turn in drawn.sample(turns, len(turns)):
            for act, took in desks[turn].ask("trade", BLOCK).items():
                times[turn].setdefault(act, []).extend(took)
    bare = median(next(one[BARE] for one in times if BARE in one))
    for result, found in zip(results, times, strict=True):
        for act, took in found.items():
            result.times.setdefault(act, []).extend(took)
            result.multiples.setdefault(act, []).append(median(took) / bare)


def _count_trips(result: Result, contestant: Contestant, place: Place) -> None:
    proxy = proxy_of(place)
    with There(contestant, through(proxy, place), Desk) as desk:
        desk.ask("open")
        desk.ask("trade", BLOCK)
        for act in (OPEN, RENEW, BARE, LOGIN, REFRESH):  # a refresh is of the logins before it
            if act in result.times:
                before = proxy.count()
                desk.ask("one", act, COUNTED)
                time.sleep(0.05)  # what needs no answer
                found = proxy.count() - before
                commits = found.commits / COUNTED if proxy.reads_postgres else None
                result.trips[act] = found.trips / COUNTED, commits
