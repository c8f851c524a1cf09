"""What sessions cost a page: authx beside Django's own and its peers, by WSGI and by ASGI.

    pip install -e ".[redis]" -r benchmarks/requirements.txt
    python -m benchmarks.pages [--rounds 3] [--requests 2000] [--quick]

As ``benchmarks.request``: a process for each, working in turn, a block at a time. A browser that has been
here before asks for three pages: one that never touches the user, one that asks ``is_authenticated``, one
that reads ``username``. Multiples are of the same page on a site without any middleware, in the same run.
Under ASGI the pages are async, and connections come from psycopg's pool, as Django's documentation asks.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from benchmarks.pages import measuring, report
from benchmarks.pages.contestants import PAGES
from benchmarks.pages.desk import Desk
from benchmarks.peers.contestants import Contestant, Place
from benchmarks.peers.place import a_place
from benchmarks.peers.process import There, together
from benchmarks.peers.tables import surroundings


def pooled(place: Place) -> Place:
    """The same for a site under ASGI, where every request is a thread."""
    database = dict(place.database) | {"CONN_MAX_AGE": 0}
    if "postgresql" in database["ENGINE"]:
        database["OPTIONS"] = {"pool": {"min_size": 2, "max_size": 8}}
    return replace(place, database=database)


def run(contestants: Sequence[Contestant], place: Place, asked: argparse.Namespace) -> None:
    results = [measuring.Result(one.name) for one in contestants]
    with ExitStack() as stack:
        desks = [stack.enter_context(There(one, place, Desk)) for one in contestants]
        together(desks, "open", False)
        measuring.by_wsgi(results, desks, runs=asked.rounds, requests=asked.requests)
    print("\n## By WSGI\n", report.wsgi(results), report.targets_of_wsgi(results), sep="\n\n", flush=True)
    with ExitStack() as stack:
        desks = [stack.enter_context(There(one, pooled(place), Desk)) for one in contestants]
        together(desks, "open", True)
        measuring.by_asgi(results, desks, runs=asked.rounds, requests=max(20, asked.requests // 5))
    print("\n## By ASGI\n", report.asgi(results), report.targets_of_asgi(results), sep="\n\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of sessions for a page.")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--rounds", type=int, default=3, help="runs, of each of which a multiple is taken")
    parser.add_argument("--requests", type=int, default=2000, help="timed, per page, contestant and run")
    parser.add_argument("--quick", action="store_true", help="two runs of 200 requests; a minute")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.requests = 2, 200
    with a_place(asked.database, PAGES) as place:
        run([one for one in PAGES if place.redis or not one.redis], place, asked)
    print(f"\n{asked.rounds} runs of {asked.requests} requests. {surroundings(asked.database)}")


if __name__ == "__main__":
    main()
