"""What the socket door costs, and how soon a socket is closed whose session has ended in another process.

    pip install -e ".[redis]" "psycopg[binary]" uvicorn websockets
    python -m benchmarks.sockets [--quick] [--database sqlite]

A uvicorn process serves an echo app twice, bare and behind the door; another process opens sessions and ends
them; this one holds the sockets. All read CLOCK_MONOTONIC. PostgreSQL is found by the usual PGHOST, PGUSER,
...; the database is created and dropped; without one it is SQLite. Redis is a redis-server of the
benchmark's own. CPU and memory are what Linux says of the server's process (/proc).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from random import Random

from benchmarks.peers.contestants import BY_NAME, Place
from benchmarks.peers.process import There
from benchmarks.sockets import closing, opening, report
from benchmarks.sockets.opening import Burst, Idle
from benchmarks.sockets.people import Issuer
from benchmarks.sockets.place import a_place, has_postgresql
from benchmarks.sockets.report import Store, Target
from benchmarks.sockets.served import Server

DATABASE = "authx database"
STORES = [DATABASE, "authx database (lag 1 s)", "authx redis", "authx redis (lag 1 s)"]
APPS = {"bare echo app": "/bare/", "behind the door": "/door/"}


@contextmanager
def both(name: str, place: Place) -> Iterator[tuple[Server, There]]:
    """A server, and the process that opens and ends the sessions, with one store."""
    with ExitStack() as stack:
        issuer = stack.enter_context(There(BY_NAME[name], place, Issuer))
        yield stack.enter_context(Server(name, place)), issuer


def bursts(place: Place, asked: argparse.Namespace) -> list[Target]:
    """All handshakes at once, to a server that has just started; in turn bare and behind the door."""
    found: dict[str, list[Burst]] = {name: [] for name in APPS}
    for _ in range(asked.rounds):
        for name, path in APPS.items():
            with both(DATABASE, place) as (server, issuer):
                tokens = [token for _sid, token in issuer.ask("open", asked.sockets)]
                found[name].append(asyncio.run(opening.burst(server, path, tokens)))
    print(report.BURST_HEAD)
    for name in APPS:
        print(report.burst_line(name, found[name]), flush=True)
    return [report.burst_target(found["behind the door"], asked.sockets)]


def bare_idle(place: Place, asked: argparse.Namespace) -> Idle:
    with both(DATABASE, place) as (server, issuer):
        tokens = [token for _sid, token in issuer.ask("open", asked.sockets)]
        return asyncio.run(opening.idle(server, "/bare/", tokens, asked.few, asked.seconds))


async def watched(name: str, server: Server, issuer: There, asked: argparse.Namespace) -> Store:
    """Idle sockets, then the ends of some of their sessions, then of all."""
    people = issuer.ask("open", asked.sockets)
    tokens = [token for _sid, token in people]
    idle = await opening.idle(server, "/door/", tokens, asked.few, asked.seconds)
    ended = await closing.endings(issuer, people, idle.sockets, asked.endings, Random(asked.seed))
    return Store(name, idle, ended, await closing.end_everyone(server, issuer, idle.sockets))


def stores(place: Place, asked: argparse.Namespace) -> list[Target]:
    """Idle sockets with each store, beside those of the bare app."""
    print(
        f"\n{asked.sockets:,} idle sockets (few: {asked.few}), {asked.endings} endings\n\n{report.IDLE_HEAD}"
    )
    bare = bare_idle(place, asked)
    print(report.bare_line(bare), flush=True)
    targets = []
    for name in asked.stores:
        with both(name, place) as (server, issuer):
            store = asyncio.run(watched(name, server, issuer, asked))
        print(report.store_line(store), flush=True)
        targets += store.targets(bare)
    return targets


def races(place: Place, asked: argparse.Namespace) -> list[Target]:
    """Handshakes and endings at the same time, with each store that has no lag."""
    targets = []
    print()
    for name in [name for name in asked.stores if "lag" not in name]:
        with both(name, place) as (server, issuer):
            found = asyncio.run(closing.races(server, issuer, asked.races, Random(asked.seed)))
        print(report.races_line(name, found), flush=True)
        targets.append(report.races_target(name, found))
    return targets


def turnover(place: Place, asked: argparse.Namespace) -> list[Target]:
    """Many sockets, one wave after another."""
    print()
    targets = []
    for name, path in APPS.items():
        with both(DATABASE, place) as (server, issuer):
            tokens = [token for _sid, token in issuer.ask("open", asked.turnover // 40)]
            found = asyncio.run(opening.turnover(server, path, tokens, asked.turnover))
        print(report.turnover_line(name, found), flush=True)
        targets = [report.turnover_target(found)]
    return targets


PARTS = {"bursts": bursts, "stores": stores, "races": races, "turnover": turnover}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The socket door under many sockets.")
    parser.add_argument("--quick", action="store_true", help="fewer of everything: about two minutes")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of endings")
    asked = parser.parse_args()
    full = {"sockets": 2000, "few": 50, "seconds": 30.0, "endings": 200, "races": 1000, "rounds": 5}
    quick = {"sockets": 500, "few": 50, "seconds": 5.0, "endings": 40, "races": 100, "rounds": 2}
    vars(asked).update(quick if asked.quick else full, turnover=8_000 if asked.quick else 40_000)
    if asked.database == "postgresql" and not has_postgresql():
        print("There is no PostgreSQL here that lets us in: the database is SQLite.\n")
        asked.database = "sqlite"
    return asked


def main() -> None:
    asked = arguments()
    _least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each socket is a file here, and one there
    targets: list[Target] = []
    with a_place(asked.database) as place:
        asked.stores = [name for name in STORES if place.redis or "redis" not in name]
        if not place.redis:
            print("There is no redis-server here: the store is the database alone.\n")
        for name in asked.only.split(","):
            targets += PARTS[name](place, asked)
    print(f"\n{report.targets_table(targets)}")
    names = ("Django", "uvicorn", "websockets")
    used = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)]
    print(f"\n{asked.database}; {', '.join(used)}; {os.cpu_count()} cores; {report.load()}")


if __name__ == "__main__":
    main()
