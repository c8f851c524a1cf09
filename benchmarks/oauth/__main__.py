"""What OAuth costs: authx beside django-oauth-toolkit and Authlib's Django server, in one run.

    pip install -e . -r benchmarks/requirements.txt
    python -m benchmarks.oauth [--quick] [--database sqlite,postgresql] [--times 200]

As ``benchmarks.request``: a process for each, working in turn, a block at a time. Timed is the whole WSGI
application, from environ to closed response. Then client authentication alone, and then twelve refreshes of
one token at once, over HTTP to a server with a thread for each.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from contextlib import ExitStack
from importlib.metadata import version
from random import Random

from benchmarks.oauth.contestants import OAUTH, TOOLKIT
from benchmarks.oauth.crowd import crowd
from benchmarks.oauth.desk import Desk
from benchmarks.oauth.report import Result, acts_table, authentication_table, crowd_table, targets_table
from benchmarks.peers.place import a_place
from benchmarks.peers.process import There

BLOCK = 10
COUNTED = 10
#: Its hash of secrets takes a third of a second: it takes part in one block of so many.
SELDOM = {TOOLKIT: 10}
PACKAGES = ("Django", "django-oauth-toolkit", "oauthlib", "Authlib", "psycopg")


def take_part(database: str, number: int, rounds: int, seed: int) -> list[Result]:
    with a_place(database, OAUTH) as place, ExitStack() as stack:
        desks = [(Result(one.name), stack.enter_context(There(one, place, Desk))) for one in OAUTH]
        for _, desk in desks:
            desk.ask("open")
            desk.ask("block", 2)  # untimed: first uses
        run_blocks(desks, number, seed)
        for result, desk in desks:
            result.counts = desk.ask("counted", COUNTED)
            result.authenticated = desk.ask("authenticated", 20 if result.name in SELDOM else number)
        for result, desk in desks:
            result.crowd = crowd(desk, min(3, rounds) if result.name in SELDOM else rounds)
    return [result for result, _ in desks]


def run_blocks(desks: list[tuple[Result, There]], number: int, seed: int) -> None:
    order, drawn = list(desks), Random(seed)
    for index, _ in enumerate(range(0, number, BLOCK)):
        drawn.shuffle(order)
        for result, desk in order:
            if index % SELDOM.get(result.name, 1) == 0:
                for act, took in desk.ask("block", BLOCK).items():
                    result.took.setdefault(act, []).extend(took)


def surroundings() -> str:
    named = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load}; {named}"


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of OAuth's grants.")
    parser.add_argument("--database", default="sqlite,postgresql", help="one or both, separated by a comma")
    parser.add_argument("--times", type=int, default=200, help="timed of each act, per server")
    parser.add_argument("--rounds", type=int, default=20, help="of refreshes at once")
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    parser.add_argument("--quick", action="store_true", help="a minute on each database: 20 times, 3 rounds")
    asked = parser.parse_args()
    number, rounds = (20, 3) if asked.quick else (asked.times, asked.rounds)
    databases = asked.database.split(",")
    if len(databases) > 1:  # a process has the settings of one database
        for database in databases:
            subprocess.run([*sys.orig_argv, "--database", database], check=True)
        return
    print(f"## {databases[0]}\n\nBefore: {surroundings()}\n", flush=True)
    results = take_part(databases[0], number, rounds, asked.seed)
    tables = (acts_table, authentication_table, crowd_table)
    print(*(table(results) for table in tables), targets_table(results, databases[0]), sep="\n\n")
    print(f"\nAfter: {surroundings()}\n", flush=True)


if __name__ == "__main__":
    main()
