"""Whether rotating the signing key refuses anybody: rotations without pause, requests without pause.

    pip install -e ".[test]"
    python -m benchmarks.key_rotation [--requests 100000] [--rotations 100] [--database postgresql|sqlite]

Two processes of four threads each send requests through Django's test client, API and all: most with an
access token that any of the eight was given, some to refresh. A third process rotates the key as soon as it
may. Time is shortened: a key waits for LEAD seconds (instead of 600), an access token lives for LIFETIME
(instead of 900) and processes look every POLL (instead of 5). Counted is every answer other than 200 to a
token that had not expired when it was answered. At the end the signing key is withdrawn, and each process
says when the last request began that it let in, counted from the moment the withdrawal returned.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import platform
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from benchmarks.peers.place import postgresql, sqlite

LEAD, LIFETIME, POLL = 2.0, 3, 0.25
PROCESSES, THREADS = 2, 4
#: Tokens that all share, and the bytes of each.
SLOTS, WIDTH = 32, 4096
#: One request in so many asks for a new token.
REFRESH = 50


def configure(database: dict[str, Any]) -> None:
    """Set Django up with shortened times. Once per process."""
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="benchmark-" + "x" * 50,
        DATABASES={"default": database},
        USE_TZ=True,
        ALLOWED_HOSTS=["testserver"],
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "authx"],
        ROOT_URLCONF="authx.api.urls",
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["authx.api.authentication.BearerAuthentication"],
            "EXCEPTION_HANDLER": "authx.api.exception_handler",
        },
        AUTHX_ACCESS_TOKEN_LIFETIME=timedelta(seconds=LIFETIME),
        AUTHX_CLOCK_LEEWAY=timedelta(0),
        AUTHX_REFRESH_RATE=None,
        AUTHX_RETENTION=timedelta(seconds=30),  # so that old keys are forgotten, too
        LOGGING={"version": 1, "root": {"level": "ERROR"}},
    )
    django.setup()
    from authx.core import key_schedule
    from authx.gate.keys import managed
    from authx.issuer import signing_keys

    key_schedule.POLL_INTERVAL = timedelta(seconds=POLL)  # type: ignore[misc]
    for name in ("_SIGNING", "_VERIFYING", "_MISSING", "_UNREAD"):
        policy = getattr(managed, name)
        setattr(managed, name, replace(policy, renew_after=POLL, rest=min(policy.rest, POLL)))
    signing_keys.LEAD_TIME = timedelta(seconds=LEAD)  # type: ignore[misc]


@dataclass(frozen=True)
class Shared:
    """What the processes have in common."""

    tokens: Any
    #: Requests answered so far.
    answered: Any
    stop: Any


class Pool:
    """Access tokens and when they expire, in memory that all processes see."""

    def __init__(self, tokens: Any) -> None:
        self._tokens = tokens

    def put(self, slot: int, token: str, expires: float) -> None:
        line = f"{expires} {token}".encode().ljust(WIDTH)
        with self._tokens.get_lock():
            self._tokens[slot * WIDTH : (slot + 1) * WIDTH] = line

    def any(self, dice: random.Random) -> tuple[str, float]:
        slot = dice.randrange(SLOTS)
        with self._tokens.get_lock():
            line = self._tokens[slot * WIDTH : (slot + 1) * WIDTH]
        expires, _, token = line.rstrip(b"\0 ").decode().partition(" ")
        return token, float(expires or 0)


class Client:
    """One thread: a session of its own, refreshed now and then, and everybody's tokens."""

    def __init__(self, number: int, shared: Shared) -> None:
        from rest_framework.test import APIClient

        self._api, self._dice = APIClient(), random.Random(number)
        self._pool, self._shared = Pool(shared.tokens), shared
        self._slots = itertools.cycle(range(number, SLOTS, PROCESSES * THREADS))
        self.answers: Counter[str] = Counter()
        self.kids: set[str] = set()
        self._refresh_token = self._log_in(number)

    def _log_in(self, number: int) -> str:
        from django.contrib.auth import get_user_model

        from authx.sessions import open_session

        users = get_user_model()._default_manager
        return open_session(users.get_or_create(username=f"user{number}")[0]).refresh_token

    def run(self) -> None:
        from django.db import connections

        while not self._shared.stop.is_set():
            token, expires = self._pool.any(self._dice)
            if not token or expires <= time.time() or self._dice.randrange(REFRESH) == 0:
                self._refresh()
            else:
                self._ask(token, expires)
            with self._shared.answered.get_lock():
                self._shared.answered.value += 1
        connections.close_all()

    def _refresh(self) -> None:
        import jwt

        answer = self._api.post("/refresh/", {"refresh_token": self._refresh_token}, format="json")
        self.answers[f"refresh {answer.status_code}"] += 1
        if answer.status_code == 200:
            given = answer.json()
            self._refresh_token = given["refresh_token"]
            token = given["access_token"]
            self.kids.add(jwt.get_unverified_header(token)["kid"])
            expires = jwt.decode(token, options={"verify_signature": False})["exp"]
            self._pool.put(next(self._slots), token, expires)

    def _ask(self, token: str, expires: float) -> None:
        answer = self._api.get("/session/", headers={"Authorization": f"Bearer {token}"})
        code = "" if answer.status_code == 200 else f" {answer.json().get('code')}"
        if code == " token_expired" and time.time() >= expires:
            return  # it expired on the way
        self.answers[f"{answer.status_code}{code}"] += 1


def work(place: int, database: dict[str, Any], shared: Shared, parent: Any) -> None:
    """One process: requests until told to stop, then one token until that is refused."""
    configure(database)
    clients = [Client(place * THREADS + number, shared) for number in range(THREADS)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    parent.send(sum((client.answers for client in clients), Counter()))
    parent.send(set().union(*(client.kids for client in clients)))
    parent.send(accepted_until(parent.recv(), parent))


def accepted_until(token: str, parent: Any) -> float:
    """When, by the clock that all processes share, the last request began that this one let in."""
    from authx.errors import KeyUnknown
    from authx.gate import verify_access_token

    verify_access_token(token)
    parent.send("it is good")
    accepted = float("-inf")
    while True:
        began = time.monotonic()
        try:
            verify_access_token(token)
        except KeyUnknown:
            return accepted
        accepted = began


@contextmanager
def a_database(kind: str) -> Iterator[dict[str, Any]]:
    """An empty migrated database; this process is configured for it."""
    with tempfile.TemporaryDirectory() as folder:
        configure(postgresql() if kind == "postgresql" else sqlite(folder))
        from django.db import connection

        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            yield dict(connection.settings_dict)
        finally:
            connection.creation.destroy_test_db(kind, verbosity=0)


def main() -> None:
    parser = argparse.ArgumentParser(description="What rotating the signing key refuses.")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--rotations", type=int, default=100)
    asked = parser.parse_args()
    with a_database(asked.database) as database:
        measure(asked, database)


def measure(asked: argparse.Namespace, database: dict[str, Any]) -> None:
    spawn = multiprocessing.get_context("spawn")
    shared = Shared(spawn.Array("c", SLOTS * WIDTH), spawn.Value("q", 0), spawn.Event())
    lines, processes = [], []
    for place in range(PROCESSES):
        here, there = spawn.Pipe()
        processes.append(spawn.Process(target=work, args=(place, database, shared, there)))
        lines.append(here)
        processes[-1].start()
    while shared.answered.value < 100:
        time.sleep(0.05)
    began, first = time.monotonic(), shared.answered.value
    rotations = rotate_until(asked, shared)
    seconds = time.monotonic() - began
    shared.stop.set()
    found: Counter[str] = sum((line.recv() for line in lines), Counter())
    kids: set[str] = set().union(*(line.recv() for line in lines))
    where = f"{asked.database}; Python {platform.python_version()}, Django {version('Django')}"
    print(f"{where}, {os.cpu_count()} cores; lead {LEAD} s, access tokens live {LIFETIME} s, poll {POLL} s")
    print(f"{shared.answered.value - first} requests in {seconds:.0f} s, {rotations} rotations")
    print(f"{len(kids)} keys have signed; answers: {dict(sorted(found.items()))}")
    refused = sum(count for answer, count in found.items() if not answer.endswith("200"))
    print(f"refused: {refused}")
    withdrawal(lines)
    for process in processes:
        process.join()


def rotate_until(asked: argparse.Namespace, shared: Shared) -> int:
    """Rotate as soon as no key is waiting, until there have been rotations and requests enough."""
    from authx.issuer.signing_keys import KeyringRefused, rotate

    done = 0
    while done < asked.rotations or shared.answered.value < asked.requests:
        try:
            rotate()
            done += 1
        except KeyringRefused:
            time.sleep(0.02)
    return done


def withdrawal(lines: list[Any]) -> None:
    """Withdraw the signing key: how long each process went on accepting it."""
    import jwt
    from django.contrib.auth import get_user_model

    from authx.errors import KeyUnknown
    from authx.gate import verify_access_token
    from authx.issuer.signing_keys import withdraw
    from authx.sessions import open_session

    token = open_session(get_user_model()._default_manager.get(username="user0")).access_token
    for line in lines:
        line.send(token)
    for line in lines:
        line.recv()
    withdraw(jwt.get_unverified_header(token)["kid"])
    done = time.monotonic()
    try:
        verify_access_token(token)
        print("withdrawn, and still accepted by the process that did it")
    except KeyUnknown:
        print("withdrawn: refused at once by the process that did it")
    late = [f"{(line.recv() - done) * 1000:+.1f} ms" for line in lines]
    print(f"the last that the other processes let in began {', '.join(late)} from its return")


if __name__ == "__main__":
    main()
