"""What was aimed at for a request, and what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.peers.tables import spread, table, verdict
from benchmarks.request import hot, minute

#: Times the view without authentication, at most.
HOT = {
    "authx database (lag 1 s)": 1.15,
    "authx redis (lag 1 s)": 1.15,
    "authx redis": 1.8,
    "authx database": 3.8,
}
#: Of simplejwt's, at most; and times a second request, the first of a session in a minute.
OF_SIMPLEJWT, FIRST = 0.60, 1.2


def of_hot(results: Sequence[hot.Result]) -> str:
    return _table(_of_hot({one.name: one for one in results}))


def of_first(results: Sequence[minute.Result]) -> str:
    ours = [one for one in results if one.name in HOT]
    return _table(
        (
            f"{one.name}: first request of a session in a minute, at most {FIRST} x its second",
            one.multiples,
            FIRST,
        )
        for one in ours
    )


def _of_hot(results: dict[str, hot.Result]) -> Iterator[tuple[str, Sequence[float], float]]:
    for name, most in HOT.items():
        if name in results:
            yield f"{name}: at most {most} x the view without authentication", results[name].multiples, most
    database, peer = results.get("authx database"), results.get("simplejwt")
    if database and peer:
        pairs = zip(database.multiples, peer.multiples, strict=True)
        ratios = [ours / theirs for ours, theirs in pairs]
        yield f"authx database: at most {OF_SIMPLEJWT:.2f} of simplejwt", ratios, OF_SIMPLEJWT


def _table(found: Iterator[tuple[str, Sequence[float], float]]) -> str:
    lines = [(what, spread(values), verdict(median(values) <= most)) for what, values, most in found]
    return table(("target", "this run", ""), lines)
