"""Requests per second over the wire: authx and its peers behind gunicorn and uvicorn, loaded by ``wrk``.

    pip install -e ".[redis]" -r benchmarks/requirements.txt    (and wrk, a Debian package)
    python -m benchmarks.wire [--only authx,simplejwt] [--servers sync,gthread,uvicorn] [--rounds 3]

Every contestant gets a server of its own with two workers, started anew for every round; rounds go through
all of them in an order drawn anew. Shown are medians of the rounds. Servers, database, Redis and ``wrk``
share the machine. An answer that is not 200, or a broken connection, is an error and spoils the run.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from statistics import median
from urllib.request import Request, urlopen

from benchmarks.peers.contestants import Contestant, Place, chosen
from benchmarks.peers.doors import Held
from benchmarks.peers.place import a_place, free_port, wait_for
from benchmarks.peers.process import There
from benchmarks.peers.setup import environment
from benchmarks.request import surroundings

GUNICORN = ("gunicorn", "--workers", "2", "--log-level", "error", "--bind", "127.0.0.1:{port}")
SERVERS = {
    "sync": (*GUNICORN, "--worker-class", "sync", "benchmarks.peers.serve:wsgi"),
    "gthread": (*GUNICORN, "--worker-class", "gthread", "--threads", "4", "benchmarks.peers.serve:wsgi"),
    "uvicorn": (
        *("uvicorn", "--workers", "2", "--log-level", "error", "--no-access-log"),
        *("--host", "127.0.0.1", "--port", "{port}", "benchmarks.peers.serve:asgi"),
    ),
}
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Load:
    """What ``wrk`` is told."""

    seconds: int
    connections: int


@dataclass
class Taking:
    contestant: Contestant
    held: Held
    rates: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    errors: int = 0

    def note(self, told: str) -> None:
        """Read what ``wrk`` printed."""
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1])
        self.errors += not rate
        self.rates.append(rate)
        self.p50.append(_milliseconds(told, "50"))
        self.p99.append(_milliseconds(told, "99"))
        if broken := re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", told):
            self.errors += sum(map(int, broken.groups()))
        if refused := re.search(r"Non-2xx or 3xx responses: (\d+)", told):
            self.errors += int(refused[1])


def _milliseconds(told: str, percent: str) -> float:
    number, unit = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)\b", told, re.MULTILINE).groups()
    return float(number) * UNITS[unit]


def place_of(server: str, place: Place) -> Place:
    """The same, with a pool under ASGI, where every request is a thread, as Django's documentation asks."""
    if server != "uvicorn":
        return place
    database = dict(place.database) | {"CONN_MAX_AGE": 0}
    if "postgresql" in database["ENGINE"]:
        database["OPTIONS"] = {"pool": {"min_size": 4, "max_size": 16}}
    return replace(place, database=database)


@contextmanager
def serving(server: str, contestant: Contestant, place: Place) -> Iterator[int]:
    """The port of a server that answers."""
    port = free_port()
    command = [sys.executable, "-m", *(word.format(port=port) for word in SERVERS[server])]
    told = os.environ | environment(contestant, place_of(server, place))
    process = subprocess.Popen(command, env=told)
    try:
        wait_for(port)  # a master listens before its workers can answer
        yield port
    finally:
        process.terminate()
        process.wait(30)


def header(name: str) -> str:
    """``HTTP_X_SESSION_TOKEN`` as it travels."""
    return name.removeprefix("HTTP_").replace("_", "-").title()


def answered(port: int, held: Held) -> None:
    """Wait for the first answer; raises unless it is 200."""
    headers = {header(name): value for name, value in held.headers.items()}
    urlopen(Request(f"http://127.0.0.1:{port}/hello/", headers=headers), timeout=60).close()


def load(port: int, held: Held, told: Load) -> str:
    headers = [word for name, value in held.headers.items() for word in ("-H", f"{header(name)}: {value}")]
    command = ["wrk", "-t1", f"-c{told.connections}", f"-d{told.seconds}s", "--latency", *headers]
    found = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/hello/"], check=True, capture_output=True, text=True
    )
    return found.stdout


def run(server: str, order: list[Taking], place: Place, told: Load) -> None:
    for one in order:
        with serving(server, one.contestant, place) as port:
            answered(port, one.held)
            load(port, one.held, replace(told, seconds=2))  # the workers' first uses
            one.note(load(port, one.held, told))


def table(taking: list[Taking]) -> str:
    lines = ["| | requests/s | p50 ms | p99 ms | errors |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {one.contestant.name} | {median(one.rates):,.0f} | {median(one.p50):.1f} "
        f"| {median(one.p99):.1f} | {one.errors} |"
        for one in taking
    ]
    return "\n".join(lines)


def logged_in(contestant: Contestant, place: Place) -> Held:
    with There(contestant, place) as door:
        held: Held = door.ask("log_in")
        return held


def main() -> None:
    parser = argparse.ArgumentParser(description="Requests per second over the wire.")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--only", default="", help="names or parts of names, separated by commas")
    parser.add_argument("--servers", default=",".join(SERVERS), help="of sync, gthread and uvicorn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of load, per contestant and round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    asked = parser.parse_args()
    told, drawn, errors = Load(asked.seconds, asked.connections), Random(asked.seed), 0
    with a_place(asked.database) as place:
        helds = [(one, logged_in(one, place)) for one in chosen(asked.only)]
        for server in asked.servers.split(","):
            taking = [Taking(contestant, held) for contestant, held in helds]
            for _ in range(asked.rounds):
                run(server, drawn.sample(taking, len(taking)), place, told)
            print(f"{server}:\n\n{table(taking)}\n", flush=True)
            errors += sum(one.errors for one in taking)
    print(f"{asked.rounds} rounds of {asked.seconds} s, {asked.connections} connections. "
          f"{surroundings(asked.database)}")  # fmt: skip
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
