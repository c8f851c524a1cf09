"""What an authenticated request costs: authx beside its peers, the same DRF view behind each.

    pip install -e ".[redis]" -r benchmarks/requirements.txt
    python -m benchmarks.request [hot] [pools] [minute] [workers] [--rounds 3] [--requests 3000] [--quick]

Each contestant is a process of its own on the same database server; the parent lets them work in turn, a
block at a time, in an order drawn anew each round, so that the noise of the machine falls on all alike.
Timed is the whole WSGI application, from environ to closed response. PostgreSQL is found by the usual
PGHOST, PGUSER, ...; the database is created and dropped. Redis is a redis-server of the benchmark's own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.chart import draw
from benchmarks.peers.contestants import FLOOR, Contestant, Place, chosen
from benchmarks.peers.place import a_place
from benchmarks.peers.tables import surroundings
from benchmarks.request import hot, minute, pools, targets, workers


def run_hot(contestants: Sequence[Contestant], place: Place, asked: argparse.Namespace) -> None:
    results = hot.measure(contestants, place, runs=asked.rounds, requests=asked.requests)
    floor = median(results[0].times) / 1000
    print(f"\n## One session, again and again\n\nThe floor took {floor:.0f} µs: the phase of the machine.\n")
    print(hot.report(results), targets.of_hot(results), sep="\n\n", flush=True)
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump([one.figures() for one in results], file, indent=1)
    if asked.svg:
        draw([(one.name, median(one.multiples), one.logout) for one in results], asked.svg)


def run_pools(contestants: Sequence[Contestant], place: Place, asked: argparse.Namespace) -> None:
    print("\n## Each request another session's: times the floor\n", flush=True)
    sizes = [int(size) for size in asked.pools.split(",")]
    requests = max(pools.BLOCK, asked.requests // 5)
    found = [pools.measure(contestants, place, size, runs=asked.rounds, requests=requests) for size in sizes]
    print(pools.report(found), flush=True)


def run_minute(contestants: Sequence[Contestant], place: Place, asked: argparse.Namespace) -> None:
    ours = [one for one in contestants if one.name == FLOOR or one.kind == "authx"]
    results = minute.measure(ours, place, runs=asked.rounds, sessions=asked.requests // 5)
    print("\n## The first request of a session in a minute\n")
    print(minute.report(results), targets.of_first(results), sep="\n\n", flush=True)


def run_workers(contestants: Sequence[Contestant], place: Place, asked: argparse.Namespace) -> None:
    numbers = [int(number) for number in asked.workers.split(",")]
    results = workers.measure(contestants, place, numbers, runs=asked.rounds, seconds=asked.seconds)
    print("\n## Workers at once\n")
    print(workers.report(results, numbers), flush=True)


PARTS: dict[str, Callable[[Sequence[Contestant], Place, argparse.Namespace], None]] = {
    "hot": run_hot,
    "pools": run_pools,
    "minute": run_minute,
    "workers": run_workers,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The cost of an authenticated request.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--rounds", type=int, default=3, help="runs, of each of which a multiple is taken")
    parser.add_argument("--requests", type=int, default=3000, help="timed, per contestant and run")
    parser.add_argument("--pools", default="10000,50000", help="sizes, separated by commas")
    parser.add_argument("--workers", default="1,2,4", help="numbers of processes, separated by commas")
    parser.add_argument("--seconds", type=float, default=2, help="of each run of workers")
    parser.add_argument("--only", default="", help="names or parts of names, separated by commas")
    parser.add_argument("--json", help="write the figures of the chart to this file")
    parser.add_argument("--svg", help="draw the chart to this file")
    parser.add_argument("--quick", action="store_true", help="two runs, small pools; a few minutes")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    if asked.quick:
        asked.rounds, asked.requests, asked.pools, asked.seconds = 2, 400, "1000,2000", 0.5
    return asked


def main() -> None:
    asked = arguments()
    contestants = chosen(asked.only)
    with a_place(asked.database, contestants) as place:
        for part in asked.parts or PARTS:
            PARTS[part](contestants, place, asked)
    print(f"\n{asked.rounds} runs of {asked.requests} requests. {surroundings(asked.database)}")


if __name__ == "__main__":
    main()
