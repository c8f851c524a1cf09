"""How long other processes go on accepting a session whose ending has been acknowledged.

    pip install -e ".[redis]" "psycopg[binary]"
    python -m benchmarks.revocation_lag [--revocations 10000] [--failovers 20] [--observers 2]

One process opens sessions and ends them one by one; the observers, each a process, verify the access tokens
of all of them in a loop. All read CLOCK_MONOTONIC, which the processes of one machine share. PostgreSQL is
found by the usual PGHOST, PGUSER, ...; the database is created and dropped. Redis is a redis-server of the
benchmark's own, which the second table breaks at the moment of an ending, in several ways. Where the
observers are verify-only services, the process that ends sessions is their issuer too, over HTTP.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from random import Random
from socketserver import ThreadingMixIn
from statistics import quantiles
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from benchmarks.peers.contestants import BY_NAME, SERVICES, Contestant, Place
from benchmarks.peers.place import free_port, new_keys, postgresql, redis_server, wait_for
from benchmarks.peers.process import Here, There
from benchmarks.peers.setup import configure

#: By store: how many sessions are observed at once, and for how many seconds an ending may go unseen.
STORES = {
    "authx database": (20, 0.0),
    "authx database (lag 1 s)": (250, 1.0),
    "authx redis": (20, 0.0),
    "authx redis (lag 1 s)": (250, 1.0),
    "authx feed (lag 1 s)": (250, 1.0),
    "authx feed (lag 5 s)": (1000, 5.0),
    "authx introspection": (20, 0.0),
}
#: The same after a Redis that lost what it had been told: its lease, and the lag on top.
AFTER_FAILOVER = {"authx redis": 10.0, "authx redis (lag 1 s)": 11.0}
#: Seconds that anything may take to be seen at all.
PATIENCE = 30.0


class Revoker(Here):
    """Opens sessions and ends them."""

    def open(self, number: int) -> list[tuple[str, str]]:
        """The ids and access tokens of so many new sessions."""
        from django.contrib.auth import get_user_model

        from authx.models import DeviceSession
        from authx.sessions.credentials import credentials_for
        from authx.store.database import database_now
        from benchmarks.peers.many import live_session

        user = get_user_model().objects.get_or_create(username="ada", defaults={"password": "!"})[0]
        now = database_now()
        sessions = [live_session(user, now) for _ in range(number)]
        DeviceSession.objects.bulk_create(sessions)
        return [(str(one.pk), credentials_for(one, generation=1, now=now).access_token) for one in sessions]

    def end(self, sids: Sequence[str]) -> list[float]:
        """When each ending was acknowledged."""
        from authx.models import DeviceSession
        from authx.sessions import end_session

        returned = []
        for sid in sids:
            end_session(DeviceSession(pk=sid), "kicked")
            returned.append(time.monotonic())
        return returned

    def publish(self, sid: str) -> None:
        """Tell Redis of an ending that concerns nobody."""
        from authx.gate.revocation import sources

        sources.publish({sid: "logout"})

    def serve(self) -> tuple[str, tuple[str, str]]:
        """Begin to serve the site from a thread; its URL, and the id and secret of a service."""
        from django.core.wsgi import get_wsgi_application

        from authx.issuer.clients import create_client

        server = make_server("127.0.0.1", 0, get_wsgi_application(), ThreadingServer, Quiet)
        Thread(target=server.serve_forever, daemon=True).start()
        service, secret = create_client("benchmark")
        return f"http://127.0.0.1:{server.server_port}", (service.client_id, secret or "")


class ThreadingServer(ThreadingMixIn, WSGIServer):
    """Each request in a thread, and so on a connection, of its own."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


class Observer(Here):
    """Verifies access tokens, as a service does at every request."""

    def learn(self, tokens: Sequence[str]) -> None:
        """Accept each of them once; their sessions are live."""
        from authx.gate import verify_access_token

        self.tokens = list(tokens)
        for token in self.tokens:
            verify_access_token(token)

    def watch(self, least: float = 0.0, rest: float = 0.001) -> tuple[list[tuple[float, float]], list[float]]:
        """For each token when the last accept began, and the first refusal after it; how long rounds took.

        Until all have been refused, but ``least`` seconds: who was refused might be let in again.
        """
        accepted, refused = [0.0] * len(self.tokens), [float("inf")] * len(self.tokens)
        left, rounds = list(range(len(self.tokens))), []
        start = round_began = time.monotonic()
        while left and round_began - start < PATIENCE:
            for number in left:
                began = time.monotonic()
                if not self.accepts(self.tokens[number]):
                    refused[number] = min(began, refused[number])
                else:
                    accepted[number], refused[number] = began, float("inf")
            if time.monotonic() - start >= least:
                left = [number for number in left if refused[number] == float("inf")]
            rounds.append(time.monotonic() - round_began)
            time.sleep(rest)
            round_began = time.monotonic()
        return list(zip(accepted, refused, strict=True)), rounds

    def accepts(self, token: str) -> bool:
        from authx.errors import SessionEnded
        from authx.gate import verify_access_token

        try:
            verify_access_token(token)
        except SessionEnded:
            return False
        return True

    def is_quick(self, token: str) -> bool:
        """True once it gets its answers without asking the database."""
        from django.db import connection

        from authx.gate import verify_access_token

        asked: list[str] = []

        def note(execute: Any, sql: str, *rest: Any) -> Any:
            asked.append(sql)
            return execute(sql, *rest)

        with connection.execute_wrapper(note):
            verify_access_token(token)
        return not asked


@dataclass
class Seen:
    """What came of the endings of one store; seconds since each was acknowledged, once per observer."""

    #: Until the first refusal began; 0 if it came before.
    refused: list[float] = field(default_factory=list)
    #: When the last accept began; negative if that was before.
    accepted: list[float] = field(default_factory=list)
    rounds: list[float] = field(default_factory=list)

    def add(self, returned: Sequence[float], watched: Any) -> None:
        found, rounds = watched
        for at, (accepted, refused) in zip(returned, found, strict=True):
            self.refused.append(max(0.0, refused - at))
            self.accepted.append(accepted - at)
        self.rounds += rounds

    def late(self, bound: float) -> int:
        """Accepts that began after the bound."""
        return sum(accepted > bound for accepted in self.accepted)


class Crew:
    """A process that ends sessions, and those that look on."""

    def __init__(self, contestant: Contestant, place: Place, observers: int, stack: ExitStack) -> None:
        issuer = BY_NAME["authx database"] if contestant in SERVICES else contestant
        self.revoker = stack.enter_context(There(issuer, place, Revoker))
        if contestant in SERVICES:
            url, service = self.revoker.ask("serve")
            place = replace(place, issuer=url, service=service)
        self.observers = [stack.enter_context(There(contestant, place, Observer)) for _ in range(observers)]
        self.pool = stack.enter_context(ThreadPoolExecutor(observers))

    def end(self, sids: list[str]) -> list[float]:
        returned: list[float] = self.revoker.ask("end", sids)
        return returned

    def is_quick(self, token: str) -> bool:
        """True once no observer asks the database."""
        return all(one.ask("is_quick", token) for one in self.observers)

    def open(self, number: int) -> list[str]:
        """The ids of so many new sessions, which every observer has accepted."""
        opened = self.revoker.ask("open", number)
        tokens = [token for _, token in opened]
        list(self.pool.map(lambda one: one.ask("learn", tokens), self.observers))
        return [sid for sid, _ in opened]


def healthy(crew: Crew, batch: int, revocations: int) -> Seen:
    seen = Seen()
    for start in range(0, revocations, batch):
        sids = crew.open(min(batch, revocations - start))
        watching = [crew.pool.submit(one.ask, "watch") for one in crew.observers]
        time.sleep(0.05)
        returned = crew.end(sids)
        for one in watching:
            seen.add(returned, one.result())
    return seen


class Breakable:
    """A redis-server that this benchmark may break, with a directory for its snapshots."""

    def __init__(self, directory: str) -> None:
        self.directory, self.port = directory, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        words = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.directory,
            "save": "",
            "appendonly": "no",
        }
        command = [
            "redis-server",
            *(part for name, value in words.items() for part in (f"--{name}", str(value))),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(self.port)
        while self.ask("PING") is None:  # it may be loading its snapshot
            time.sleep(0.01)

    def ask(self, *words: Any) -> Any:
        """None where it does not answer."""
        from redis import Redis
        from redis.exceptions import RedisError

        with Redis(port=self.port, socket_timeout=5) as client, suppress(RedisError):
            return client.execute_command(*words)
        return None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def knows(self, sid: str) -> bool:
        return any(self.ask("HEXISTS", key, sid) for key in self.ask("KEYS", "*authx:endings:*") or ())


def flush(redis: Breakable) -> Iterator[None]:
    yield
    redis.ask("FLUSHALL")


def lose_all(redis: Breakable) -> Iterator[None]:
    with suppress(FileNotFoundError):
        os.remove(os.path.join(redis.directory, "dump.rdb"))
    yield
    redis.kill()
    redis.start()


def fall_back(redis: Breakable) -> Iterator[None]:
    """As a failover to a replica that had not heard of the ending."""
    redis.ask("SAVE")
    yield
    redis.kill()
    redis.start()


def stall(redis: Breakable) -> Iterator[None]:
    redis.send(signal.SIGSTOP)
    yield
    time.sleep(1)
    redis.send(signal.SIGCONT)


def pause_writes(redis: Breakable) -> Iterator[None]:
    redis.ask("CLIENT", "PAUSE", 2000, "WRITE")
    yield


#: What happens to Redis: up to the ``yield`` before the ending, the rest as soon as it is acknowledged.
BREAKDOWNS = {
    "flushed after the ending": flush,
    "killed after the ending, restarted empty": lose_all,
    "killed after the ending, restarted with a snapshot from before it": fall_back,
    "stopped (SIGSTOP) during the ending and 1 s longer": stall,
    "takes no writes for 2 s around the ending": pause_writes,
}


def settle(crew: Crew, redis: Breakable) -> None:
    """Wait until Redis answers for everybody again: whoever asks the database meanwhile is exact anyway."""
    (_, token), *_ = crew.revoker.ask("open", 1)
    until, marks = time.monotonic() + 3 * PATIENCE, 0
    while not (crew.is_quick(token) and marks and redis.knows(f"nobody{marks}")):
        if time.monotonic() > until:
            raise RuntimeError("Redis was not used again")
        time.sleep(0.05)
        marks += 1
        crew.revoker.ask("publish", f"nobody{marks}")


def broken(
    crew: Crew, redis: Breakable, breakdown: Callable[[Breakable], Iterator[None]], least: float
) -> Seen:
    """One failover. The first observer asks all the time, the others not before it is over."""
    seen = Seen()
    settle(crew, redis)
    sids = crew.open(1)
    steps = breakdown(redis)
    next(steps)
    watching = [crew.pool.submit(crew.observers[0].ask, "watch", least, 0.01)]
    returned = crew.end(sids)
    next(steps, None)
    watching += [crew.pool.submit(one.ask, "watch", least, 0.01) for one in crew.observers[1:]]
    for one in watching:
        seen.add(returned, one.result())
    return seen


@contextmanager
def our_place() -> Iterator[Place]:
    """As ``peers.place.a_place``, without the peers."""
    with redis_server() as redis:
        place = Place(postgresql(), redis, **new_keys())
        configure(BY_NAME["authx database"], place)
        from django.db import connection
        from django.test.utils import setup_databases, teardown_databases

        made = setup_databases(verbosity=0, interactive=False)
        try:
            name = connection.settings_dict["NAME"]
            connection.close()
            yield replace(place, database=postgresql() | {"NAME": name, "CONN_MAX_AGE": None})
        finally:
            teardown_databases(made, verbosity=0)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}" if seconds < 0.1 else f"{seconds * 1000:.0f}"


HEALTHY_HEAD = """\
| | endings | refused after ms: p50 | p99 | max | last accept ms | bound | accepts beyond it | asked every |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def healthy_line(name: str, seen: Seen, observers: int, bound: float) -> str:
    cuts, rounds = quantiles(seen.refused, n=100, method="inclusive"), quantiles(seen.rounds, n=100)
    cells = [
        name,
        f"{len(seen.refused) // observers:,}",
        *(ms(value) for value in (cuts[49], cuts[98], max(seen.refused))),
        ms(max(seen.accepted)) if max(seen.accepted) > 0 else "none",
        f"{bound:g} s",
        str(seen.late(bound)),
        f"{rounds[49] * 1000:.1f} ms",
    ]
    return f"| {' | '.join(cells)} |"


def broken_line(name: str, what: str, seen: list[Seen], bound: float) -> str:
    """One failover counts once: by its last accept, and its last observer to refuse."""
    accepted = sorted(max(0.0, *one.accepted) for one in seen)
    refused = max(max(one.refused) for one in seen)
    late = sum(one.late(bound) for one in seen)
    cells = [name, what, str(len(seen)), ms(accepted[len(seen) // 2]), ms(accepted[-1]), ms(refused)]
    return f"| {' | '.join([*cells, f'{bound:g} s', str(late)])} |"


BROKEN_HEAD = """\
| | Redis | times | last accept ms: median | max | refused after ms, max | bound | accepts beyond it |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"""


def measure_healthy(place: Place, names: Sequence[str], asked: Any) -> None:
    print(HEALTHY_HEAD)
    for name in names:
        batch, bound = STORES[name]
        with ExitStack() as stack:
            crew = Crew(BY_NAME[name], place, asked.observers, stack)
            healthy(crew, 20, 20)  # untimed: first uses
            seen = healthy(crew, batch, asked.revocations)
        print(healthy_line(name, seen, asked.observers, bound), flush=True)


def measure_broken(place: Place, names: Sequence[str], asked: Any) -> None:
    print(f"\n{BROKEN_HEAD}")
    for name in [name for name in names if name in AFTER_FAILOVER]:
        with ThreadPoolExecutor(len(BREAKDOWNS)) as pool:
            lines = [pool.submit(break_often, name, what, place, asked) for what in BREAKDOWNS]
        for line in lines:
            print(line.result(), flush=True)


def break_often(name: str, what: str, place: Place, asked: Any) -> str:
    """One line, with a Redis and a crew of its own; they all wait most of the time."""
    bound, drawn = AFTER_FAILOVER[name], Random(f"{asked.seed} {what}")
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        redis = Breakable(directory)
        stack.callback(redis.kill)
        crew = Crew(BY_NAME[name], replace(place, redis=redis.url), asked.observers, stack)
        seen = []
        for _ in range(asked.failovers):
            time.sleep(drawn.uniform(0, 3))  # the lease may be of any age
            seen.append(broken(crew, redis, BREAKDOWNS[what], bound + 1.5))
    return broken_line(name, what, seen, bound)


def main() -> None:
    parser = argparse.ArgumentParser(description="How long an ended session goes on being accepted.")
    parser.add_argument("--revocations", type=int, default=10_000, help="per store; 0 for none")
    parser.add_argument("--failovers", type=int, default=20, help="per store and kind; 0 for none")
    parser.add_argument("--observers", type=int, default=2, help="processes that look on")
    parser.add_argument("--only", default=",".join(STORES), help="stores, separated by commas")
    parser.add_argument("--seed", type=int, default=1, help="of the pauses before failovers")
    asked = parser.parse_args()
    names = asked.only.split(",")
    with our_place() as place:
        if asked.revocations:
            measure_healthy(place, names, asked)
        if asked.failovers:
            measure_broken(place, names, asked)
    print(
        f"\n{asked.observers} observers, {os.cpu_count()} cores; PostgreSQL; "
        f"Python {platform.python_version()}, "
        f"Django {version('Django')}, redis-py {version('redis')}"
    )


if __name__ == "__main__":
    main()
