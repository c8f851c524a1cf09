"""What an authenticated request costs: authx beside its peers, the same DRF view behind each.

    pip install -e ".[redis]" -r benchmarks/requirements.txt
    python -m benchmarks.request [--database postgresql|sqlite] [--requests 10000] [--svg chart.svg]

Each contestant is a process of its own on the same database server; the parent lets them work in turn, a
block at a time, in an order drawn anew each round, so that the noise of the machine falls on all alike.
Timed is the whole WSGI application, from environ to closed response. PostgreSQL is found by the usual
PGHOST, PGUSER, ...; the database is created and dropped. Redis is a redis-server of the benchmark's own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from random import Random
from statistics import median, quantiles
from typing import Any

from benchmarks.chart import draw
from benchmarks.peers.contestants import FLOOR, Contestant, Place, chosen
from benchmarks.peers.doors import Held
from benchmarks.peers.place import a_place
from benchmarks.peers.process import There

BLOCK = 200
#: Before anything is timed or counted: caches, first uses, the interpreter's own specializing.
WARM_UP = 400
COUNTED = 1000
#: Seconds after which a copy of whatever age is read afresh.
REST = 1.1
#: How long a logout is looked for, in seconds.
PATIENCE = 4.0


@dataclass
class Result:
    """One contestant's figures. ``logout`` is the seconds until it was seen; None if it was not."""

    name: str
    median_us: float
    p99_us: float
    multiple: float
    statements: float
    redis_commands: float
    logout: float | None


@dataclass
class Taking:
    """A contestant as it takes part: one process answers requests, another logs in and out."""

    contestant: Contestant
    door: There
    site: There
    held: Held
    times: list[int]


def take_part(contestant: Contestant, place: Place, path: str, stack: ExitStack) -> Taking:
    """Two processes that live as long as ``stack``, one of them warmed up."""
    door = stack.enter_context(There(contestant, place))
    site = stack.enter_context(There(contestant, place))
    held = door.ask("log_in")
    site.ask("prepare", path, held)
    site.ask("block", WARM_UP)
    return Taking(contestant, door, site, held, [])


def run_blocks(taking: list[Taking], requests: int, seed: int) -> None:
    order, drawn = list(taking), Random(seed)
    for _ in range(0, requests, BLOCK):
        drawn.shuffle(order)
        for one in order:
            one.times += one.site.ask("block", BLOCK)


def redis_calls(place: Place) -> int:
    """How often our Redis has read from its clients: commands, but not those within a script."""
    if not place.redis:
        return 0
    from redis import Redis

    with Redis.from_url(place.redis) as client:
        stats: dict[str, Any] = client.info("stats")
    return int(stats["total_reads_processed"])


def figures(one: Taking, place: Place, floor: float) -> Result:
    earlier, before = redis_calls(place), redis_calls(place)  # between them is what asking costs
    statements = len(one.site.ask("statements", COUNTED))
    commands = redis_calls(place) - before - (before - earlier)
    time.sleep(REST)
    one.site.ask("block", 1)  # whoever keeps a copy has just read it: the worst case for the logout
    one.door.ask("log_out", one.held)
    seen = None if one.contestant.name == FLOOR else one.site.ask("refused_after", PATIENCE)
    cuts = quantiles(one.times, n=100)
    middle = median(one.times)
    return Result(
        one.contestant.name,
        middle / 1000,
        cuts[98] / 1000,
        middle / floor,
        statements / COUNTED,
        commands / COUNTED,
        seen,
    )


def logout_words(result: Result) -> str:
    if result.name == FLOOR:
        return "-"
    if result.logout is None:
        return "not until it expires"
    return "at once" if result.logout == 0 else f"after {result.logout:.1f} s"


def table(results: list[Result]) -> str:
    lines = [
        "| | median µs | p99 µs | times the floor | SQL statements | Redis commands | logout seen |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    lines += [
        f"| {one.name} | {one.median_us:.0f} | {one.p99_us:.0f} | {one.multiple:.2f} | {one.statements:.3g} "
        f"| {one.redis_commands:.3g} | {logout_words(one)} |"
        for one in results
    ]
    return "\n".join(lines)


def surroundings(database: str) -> str:
    """What the figures hold for: versions and machine, in one line."""
    packages = (
        "Django",
        "djangorestframework",
        "djangorestframework-simplejwt",
        "django-rest-knox",
        "django-allauth",
        "django-oauth-toolkit",
    )
    named = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{database}; Python {platform.python_version()}, {os.cpu_count()} cores; {named}"


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of an authenticated request.")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--requests", type=int, default=10_000, help="timed, per contestant")
    parser.add_argument("--only", default="", help="names or parts of names, separated by commas")
    parser.add_argument("--touch-user", action="store_true", help="the view reads request.user.username")
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--svg", help="draw the chart to this file")
    asked = parser.parse_args()
    path = "/hello-user/" if asked.touch_user else "/hello/"
    with a_place(asked.database) as place, ExitStack() as stack:
        taking = [take_part(one, place, path, stack) for one in chosen(asked.only)]
        run_blocks(taking, asked.requests, asked.seed)
        floor = median(taking[0].times)
        results = [figures(one, place, floor) for one in taking]
    print(f"{table(results)}\n\n{asked.requests} requests each. {surroundings(asked.database)}")
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump([asdict(result) for result in results], file, indent=1)
    if asked.svg:
        draw([(one.name, one.multiple, one.logout) for one in results], asked.svg)


if __name__ == "__main__":
    main()
