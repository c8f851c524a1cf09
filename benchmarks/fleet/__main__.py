"""What a fleet of workers costs the database: what it writes for last-seen, what it reads, a minute.

    pip install -e ".[redis]" -r benchmarks/requirements.txt
    python -m benchmarks.fleet [--workers 1,2,4] [--sessions 200] [--minutes 3] [--quick]

Fleets of each size and each store run at the same time, far below what the machine can do: each session asks
six times a minute, and any worker of its fleet answers. So it takes the minutes that it counts, and a minute
to start. A proxy in front of PostgreSQL counts statements, rows and bytes as the server tells them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from benchmarks.fleet.measuring import Fleet, measure
from benchmarks.peers.contestants import Contestant, Place, chosen
from benchmarks.peers.place import a_place
from benchmarks.peers.tables import surroundings, table, verdict


def counted(fleets: Sequence[Fleet]) -> str:
    titles = ("", "workers", "cold start: rows written", "statements", "a minute: rows written", "commits")
    lines = [
        (
            one.contestant.name,
            one.size,
            one.cold.rows.total(),
            one.cold.own_statements,
            one.usual.rows.total(),
            one.usual.commits,
            one.usual.own_statements,
            f"{one.usual.received / 1024:,.0f}",
        )
        for one in fleets
    ]
    return table((*titles, "statements", "KiB read"), lines)


def one_more(fleets: Sequence[Fleet]) -> str:
    """What one worker more costs, from the smallest fleet to the largest, under the same load."""
    by_name: dict[str, list[Fleet]] = {}
    for one in fleets:
        by_name.setdefault(one.contestant.name, []).append(one)
    return table(("one worker more, a minute", "statements", "rows written", "KiB read"), _more(by_name))


def _more(by_name: dict[str, list[Fleet]]) -> Iterator[tuple[str, str, str, str]]:
    for name, fleets in by_name.items():
        few, many = fleets[0], fleets[-1]
        workers = max(1, many.size - few.size)
        statements = many.usual.own_statements - few.usual.own_statements
        rows = many.usual.rows.total() - few.usual.rows.total()
        read = (many.usual.received - few.usual.received) / 1024
        yield name, f"{statements / workers:+.0f}", f"{rows / workers:+.0f}", f"{read / workers:+.0f}"


def targets(fleets: Sequence[Fleet], sessions: int) -> str:
    def lines() -> Iterator[tuple[str, str, str]]:
        for one in fleets:
            who = f"{one.contestant.name}, {one.size} workers"
            rows = [minute.rows.total() for minute in one.minutes]
            what = f"{who}: at most {sessions} rows a minute for {sessions} sessions"
            yield what, ", ".join(map(str, rows)), verdict(max(rows) <= sessions)
            cold = one.cold.rows.total()
            yield f"{who}: no row written at a cold start", str(cold), verdict(cold == 0)

    return table(("target", "this run", ""), lines())


def run(contestants: Sequence[Contestant], place: Place, asked: argparse.Namespace) -> None:
    sizes = [int(size) for size in asked.workers.split(",")]
    ours = [one for one in contestants if place.redis or not one.redis]
    options = {"sessions": asked.sessions, "asks": asked.asks, "minutes": asked.minutes}
    fleets = measure(ours, place, sizes, **options)
    print(f"\n{asked.sessions} sessions in each fleet, each asking {asked.asks} times a minute.\n")
    print(counted(fleets), one_more(fleets), targets(fleets, asked.sessions), sep="\n\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a fleet of workers costs the database.")
    parser.add_argument("--workers", default="1,2,4", help="sizes of fleets, separated by commas")
    parser.add_argument("--sessions", type=int, default=200, help="of each fleet")
    parser.add_argument("--asks", type=int, default=6, help="requests of a session in a minute")
    parser.add_argument("--minutes", type=int, default=3)
    parser.add_argument("--only", default="authx", help="names or parts of names, separated by commas")
    parser.add_argument("--quick", action="store_true", help="two minutes, 50 sessions, fleets of 1 and 2")
    asked = parser.parse_args()
    if asked.quick:
        asked.minutes, asked.sessions, asked.workers = 2, 50, "1,2"
    ours = [one for one in chosen(asked.only) if one.kind == "authx"]
    with a_place("postgresql", ours) as place:
        run(ours, place, asked)
    print(f"\n{surroundings('postgresql')}")


if __name__ == "__main__":
    main()
