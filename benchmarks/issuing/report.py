"""The figures as tables, and the targets beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median, quantiles

from benchmarks.issuing.desk import BARE, LOGIN, OPEN, REFRESH, RENEW
from benchmarks.issuing.measuring import Result
from benchmarks.peers.tables import spread, table, verdict

ACTS = (LOGIN, OPEN, REFRESH, RENEW, BARE)
#: Times the bare transaction, at most: on PostgreSQL where a commit does not wait, where it does, elsewhere.
RELAXED, DURABLE, ELSEWHERE = 3.5, 1.3, 4.5
TRIPS = 2


def acts(results: Sequence[Result]) -> str:
    titles = ("act", "", "times the bare transaction", "median ms", "p99 ms", "SQL", "control")
    return table((*titles, "round trips", "commits"), _acts(results), left=2)


def _acts(results: Sequence[Result]) -> Iterator[list[str]]:
    for act in ACTS:
        for one in results:
            if act in one.times:
                took = [time / 1e6 for time in one.times[act]]
                cells = [act, one.name, spread(one.multiples[act]), f"{median(took):.2f}"]
                cells += [f"{quantiles(took, n=100)[98]:.2f}"]
                cells += [f"{number:g}" for number in one.counts[act]] if act != BARE else ["2", "2"]
                trips = one.trips.get(act, (None, None))
                yield cells + ["-" if number is None else f"{number:g}" for number in trips]


def targets(results: Sequence[Result], database: str, *, is_durable: bool) -> str:
    return table(("target", "this run", ""), _targets(results, database, is_durable))


def _targets(results: Sequence[Result], database: str, is_durable: bool) -> Iterator[tuple[str, str, str]]:
    ours = next(one for one in results if BARE in one.times)
    most = ELSEWHERE if database != "postgresql" else DURABLE if is_durable else RELAXED
    found = ours.multiples[RENEW]
    if database != "sqlite" or is_durable:  # where SQLite does not wait, its transaction is 30 us of C
        what = f"`refresh_session`: at most {most} x the bare transaction"
        yield what, spread(found), verdict(median(found) <= most)
    if database == "postgresql":
        trips, commits = ours.trips[RENEW]
        yield f"`refresh_session`: {TRIPS} round trips", f"{trips:g}", verdict(trips <= TRIPS)
        yield "`refresh_session`: 1 commit", f"{commits:g}", verdict(commits <= 1)
        for act in (LOGIN, OPEN):
            commits = ours.trips[act][1]
            yield f"{act}: 1 commit", f"{commits:g}", verdict(commits <= 1)
