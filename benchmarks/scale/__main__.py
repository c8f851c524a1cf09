"""Whether anything gets dearer when there are many sessions.

    pip install -e ".[redis]" "psycopg[binary]"
    python -m benchmarks.scale [--sessions 1000,100000,1000000] [--acts request,login]

Each size is a database of its own with that many live sessions, one user to five of them, and a process that
works on it. The processes work in turn, a block at a time, in an order drawn anew each round, so that the
noise of the machine falls on all sizes alike: what counts is the ratio. Timed is the whole WSGI application,
from environ to closed response; `end_session` is called as it is. Every act takes sessions drawn at random.
Ten million sessions are made by COPY in some ten minutes, and take some 10 GB.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from random import Random
from statistics import median
from typing import Any

from benchmarks.peers.place import postgresql, redis_server, sqlite
from benchmarks.peers.tables import surroundings
from benchmarks.peers.tables import table as markdown
from benchmarks.scale.site import ACTS, do, start


def started(database: dict[str, Any], redis: str, sessions: int, stack: ExitStack) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    pool = stack.enter_context(ProcessPoolExecutor(1, context, start, (database, redis, sessions)))
    stack.callback(lambda: pool.submit(do, "close").result())
    return pool


def database_for(kind: str, folder: str, sessions: int) -> dict[str, Any]:
    found = sqlite(folder) if kind == "sqlite" else postgresql()
    name = found["TEST"]["NAME"]
    stem, dot, ending = name.partition(".sqlite3")
    return found | {"TEST": {"NAME": f"{stem}_{sessions}{dot}{ending}"}, "CONN_MAX_AGE": None}


Times = dict[tuple[str, int], list[int]]


def run(sites: dict[int, ProcessPoolExecutor], acts: Sequence[str], rounds: int, seed: int) -> Times:
    """Nanoseconds by act and size."""
    times: Times = defaultdict(list)
    drawn = Random(seed)
    for turn in range(rounds + 1):
        for act in drawn.sample(acts, len(acts)):
            method, arguments, number = ACTS[act]
            for size in drawn.sample(list(sites), len(sites)):
                taken = sites[size].submit(do, method, *arguments, number).result()
                if turn:  # the first round is for first uses
                    times[act, size] += taken
    return times


def table(times: Times, acts: Sequence[str], sizes: Sequence[int]) -> str:
    told: Callable[[float], str] = lambda ns: f"{ns / 1e6:.2f}" if ns >= 1e6 else f"{ns / 1e6:.3f}"  # noqa: E731
    lines = [
        f"| median ms | {' | '.join(f'{size:,}' for size in sizes)} | largest / smallest |",
        f"| --- |{' ---: |' * (len(sizes) + 1)}",
    ]
    for act in acts:
        found = [median(times[act, size]) for size in sizes]
        lines.append(f"| {act} | {' | '.join(map(told, found))} | {found[-1] / found[0]:.2f} |")
    return "\n".join(lines)


def disk_table(found: dict[int, dict[str, tuple[int, int]]]) -> str:
    """Sizes on disk, where they are known."""
    lines = [
        (f"{size:,}", name, f"{rows / 1e6:,.1f}", f"{indexes / 1e6:,.1f}", f"{(rows + indexes) / size:.0f}")
        for size, tables in found.items()
        for name, (rows, indexes) in tables.items()
    ]
    return markdown(("sessions", "table", "rows, MB", "indexes, MB", "bytes a session"), lines, left=2)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Whether a million sessions make anything dearer.")
    parser.add_argument("--sessions", default="1000,100000,1000000", help="sizes, separated by commas")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--acts", default="", help="those with one of these words, separated by commas")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    parser.add_argument("--quick", action="store_true", help="1,000 and 20,000 sessions, 2 rounds; a minute")
    asked = parser.parse_args()
    if asked.quick:
        asked.sessions, asked.rounds = "1000,20000", 2
    return asked


def main() -> None:
    asked = arguments()
    sizes, words = sorted(map(int, asked.sessions.split(","))), asked.acts.split(",")
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis, ExitStack() as stack:
        acts = [act for act in ACTS if any(word in act for word in words) and (redis or "redis" not in act)]
        begin = time.perf_counter()
        sites = {
            size: started(database_for(asked.database, folder, size), redis, size, stack) for size in sizes
        }
        on_disk = {}
        for size, made in [(size, pool.submit(do, "sizes")) for size, pool in sites.items()]:
            on_disk[size] = made.result()
            print(f"{size:,} sessions made after {time.perf_counter() - begin:.0f} s", flush=True)
        if any(on_disk.values()):
            print(f"\n{disk_table(on_disk)}", flush=True)
        print(f"\n{table(run(sites, acts, asked.rounds, asked.seed), acts, sizes)}")
    print(f"\n{asked.rounds} rounds. {surroundings(asked.database)}")


if __name__ == "__main__":
    main()
