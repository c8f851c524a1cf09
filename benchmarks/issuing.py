"""What a login and a refresh cost, through the HTTP endpoints of authx and of its peers.

    pip install -e ".[redis]" -r benchmarks/requirements.txt
    python -m benchmarks.issuing [--database postgresql|sqlite] [--logins 500]

As ``benchmarks.request``: a process for each, working in turn, a block at a time. Passwords are hashed with
MD5, for a good hash costs everybody the same 100 ms and would hide the rest. Each session that was opened is
refreshed once; every refresh rotates, by a token that nobody has spent before.
"""

from __future__ import annotations

import argparse
import json
import time
from base64 import b64encode
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from statistics import median, quantiles
from urllib.parse import urlencode

from benchmarks.peers.contestants import BY_NAME, Contestant
from benchmarks.peers.place import a_place
from benchmarks.peers.process import Caller, Here, There
from benchmarks.request import surroundings

BLOCK = 25
COUNTED = 20
NAMES = (
    "authx database",
    "simplejwt",
    "simplejwt (ES256)",
    "knox",
    "allauth (JWT)",
    "django-oauth-toolkit",
)
CLIENT_ID = "first-party"
#: What opens, closes and marks transactions.
CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@dataclass(frozen=True)
class Door:
    """Where and with what a client logs in and refreshes, and where the answers hold the refresh token."""

    login_path: str
    refresh_path: str = ""
    refresh_field: str = "refresh_token"
    opened_in: tuple[str, ...] = ("refresh_token",)
    renewed_in: tuple[str, ...] = ("refresh_token",)
    is_form: bool = False

    def login_body(self, name: str) -> dict[str, str]:
        body = {"username": name, "password": "benchmark"}
        return body | ({"grant_type": "password", "client_id": CLIENT_ID} if self.is_form else {})

    def refresh_body(self, token: str) -> dict[str, str]:
        body = {self.refresh_field: token}
        return body | ({"grant_type": "refresh_token", "client_id": CLIENT_ID} if self.is_form else {})

    def encode(self, body: dict[str, str]) -> bytes:
        return (urlencode(body) if self.is_form else json.dumps(body)).encode()


def read(answer: bytes, names: tuple[str, ...]) -> str:
    """What stands in a JSON answer under these names, one within the other."""
    found = json.loads(answer)
    for name in names:
        found = found[name]
    return str(found)


DOORS = {
    "authx": Door("/auth/login/", "/auth/refresh/"),
    "simplejwt": Door("/login/", "/refresh/", "refresh", ("refresh",), ("refresh",)),
    "knox": Door("/login/"),
    "allauth_jwt": Door(
        "/_allauth/app/v1/auth/login",
        "/_allauth/app/v1/tokens/refresh",
        opened_in=("meta", "refresh_token"),
        renewed_in=("data", "refresh_token"),
    ),
    "oauth": Door("/o/token/", "/o/token/", is_form=True),
}


class Desk(Here):
    """Logs in and refreshes through this process's own endpoints."""

    def open(self) -> None:
        from django.contrib.auth import get_user_model

        name = self.contestant.name
        get_user_model().objects.create_user(name, password="benchmark")
        self.door = DOORS[self.contestant.kind]
        kind = "application/x-www-form-urlencoded" if self.door.is_form else "application/json"
        headers = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": kind}
        if self.contestant.kind == "knox":  # its login is a view behind another authentication
            headers["HTTP_AUTHORIZATION"] = "Basic " + b64encode(f"{name}:benchmark".encode()).decode()
        if self.contestant.kind == "oauth":
            _register_client()
        self.login = Caller(self.door.login_path, headers)
        self.refresh = Caller(self.door.refresh_path, headers)

    def trade(self, times: int) -> tuple[list[int], list[int]]:
        """Nanoseconds of so many logins, and of one refresh of each."""
        logins, answers = _timed(self.login, self.login_bodies(times))
        if not self.door.refresh_path:
            return logins, []
        refreshes, renewed = _timed(self.refresh, self.refresh_bodies(answers))
        for before, after in zip(answers, renewed, strict=True):
            if read(before, self.door.opened_in) == read(after, self.door.renewed_in):
                raise RuntimeError(f"{self.contestant.name}: nothing was rotated")
        return logins, refreshes

    def counted(self, times: int) -> list[tuple[float, float]]:
        """Statements and transaction control per login, and per refresh."""
        counts, answers = _counted(self.login, self.login_bodies(times))
        if not self.door.refresh_path:
            return [counts]
        return [counts, _counted(self.refresh, self.refresh_bodies(answers))[0]]

    def login_bodies(self, times: int) -> list[bytes]:
        return [self.door.encode(self.door.login_body(self.contestant.name))] * times

    def refresh_bodies(self, answers: list[bytes]) -> list[bytes]:
        """What refreshes each of the sessions that these logins opened."""
        tokens = [read(answer, self.door.opened_in) for answer in answers]
        return [self.door.encode(self.door.refresh_body(token)) for token in tokens]


def _register_client() -> None:
    from oauth2_provider.models import get_application_model

    get_application_model().objects.create(
        client_id=CLIENT_ID, client_type="public", authorization_grant_type="password"
    )


def _timed(call: Caller, bodies: list[bytes]) -> tuple[list[int], list[bytes]]:
    clock, times, answers = time.perf_counter_ns, [], []
    for body in bodies:
        start = clock()
        answers.append(call(body))
        times.append(clock() - start)
        if call.status != "200 OK":
            raise RuntimeError(f"{call.status}: {answers[-1]!r}")
    return times, answers


def _counted(call: Caller, bodies: list[bytes]) -> tuple[tuple[float, float], list[bytes]]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        _, answers = _timed(call, bodies)
    control = sum(query["sql"].startswith(CONTROL) for query in captured.captured_queries)
    return ((len(captured) - control) / len(bodies), control / len(bodies)), answers


@dataclass
class Taking:
    contestant: Contestant
    desk: There
    logins: list[int] = field(default_factory=list)
    refreshes: list[int] = field(default_factory=list)


def run(taking: list[Taking], logins: int, seed: int) -> None:
    for one in taking:
        one.desk.ask("open")
        one.desk.ask("trade", BLOCK)  # untimed: first uses
    order, drawn = list(taking), Random(seed)
    for _ in range(0, logins, BLOCK):
        drawn.shuffle(order)
        for one in order:
            opened, refreshed = one.desk.ask("trade", BLOCK)
            one.logins += opened
            one.refreshes += refreshed


def line(one: Taking) -> str:
    cells: list[str] = [one.contestant.name]
    counts = one.desk.ask("counted", COUNTED)
    for times, counted in zip((one.logins, one.refreshes), counts, strict=False):
        cells += [f"{median(times) / 1e6:.2f}", f"{quantiles(times, n=100)[98] / 1e6:.2f}"]
        cells += [f"{number:g}" for number in counted]
    cells += ["-"] * (9 - len(cells))
    return f"| {' | '.join(cells)} |"


HEAD = """\
| | login ms | p99 | SQL | control | refresh ms | p99 | SQL | control |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of a login and of a refresh.")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--logins", type=int, default=500, help="timed, per contestant")
    parser.add_argument("--only", default=",".join(NAMES), help="names, separated by commas")
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    asked = parser.parse_args()
    with a_place(asked.database) as place, ExitStack() as stack:
        contestants = [BY_NAME[name] for name in asked.only.split(",")]
        taking = [Taking(one, stack.enter_context(There(one, place, Desk))) for one in contestants]
        run(taking, asked.logins, asked.seed)
        print(HEAD)
        for one in taking:
            print(line(one), flush=True)
    print(f"\n{asked.logins} logins and refreshes each. {surroundings(asked.database)}")


if __name__ == "__main__":
    main()
