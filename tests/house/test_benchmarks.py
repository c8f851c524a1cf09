"""benchmarks: what its proxy counts, and that those which need no server still run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers.postgres_messages import PostgresMessages
from benchmarks.peers.proxy import Proxy
from benchmarks.peers.tables import spread, table

ROOT = Path(__file__).parents[2]


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


READY, IN_TRANSACTION = message(b"Z", b"I"), message(b"Z", b"T")


def done(tag: str) -> bytes:
    return message(b"C", tag.encode() + b"\0")


#: A transaction that writes, one that only reads, a statement of its own that writes, one that does not.
HISTORY = b"".join(
    [
        *(
            done("BEGIN"),
            IN_TRANSACTION,
            done("UPDATE 2"),
            IN_TRANSACTION,
            done("INSERT 0 1"),
            IN_TRANSACTION,
        ),
        *(done("COMMIT"), READY),
        *(done("BEGIN"), IN_TRANSACTION, done("SELECT 1"), IN_TRANSACTION, done("COMMIT"), READY),
        *(message(b"D", b"a row that says Z and C" * 9), done("INSERT 0 3"), READY),
        *(done("UPDATE 0"), READY),
    ]
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, len(HISTORY)])
def test_statements_rows_and_commits_are_counted_however_they_arrive(size):
    told = PostgresMessages()
    for begin in range(0, len(HISTORY), size):
        told.feed(HISTORY[begin : begin + size])
    assert told.statements == {"BEGIN": 2, "COMMIT": 2, "UPDATE": 2, "INSERT": 2, "SELECT": 1}
    assert told.rows == {"UPDATE": 2, "INSERT": 4}
    assert told.commits == 2


@pytest.mark.databases("postgresql")
def test_round_trips_are_what_the_driver_waits_for(settings):
    import psycopg

    told = settings.DATABASES["default"]
    proxy = Proxy(int(told["PORT"] or 5432), reads_postgres=True)
    options = {"user": told["USER"], "password": told["PASSWORD"], "sslmode": "disable", "dbname": "postgres"}
    with psycopg.connect(host="127.0.0.1", port=proxy.port, autocommit=True, **options) as connection:
        connection.execute("CREATE TEMPORARY TABLE counted (number int)")
        before = proxy.count()
        with connection.transaction():
            connection.execute("INSERT INTO counted VALUES (1), (2)")
        found = proxy.count() - before
        assert (found.trips, found.commits, found.own_statements, found.rows) == (3, 1, 1, {"INSERT": 2})
        before = proxy.count()
        connection.execute("SELECT number FROM counted")
        found = proxy.count() - before
        assert (found.trips, found.commits, found.own_statements) == (1, 0, 1)


def test_several_runs_are_told_by_their_median_and_both_ends():
    assert spread([1.5]) == "1.50"
    assert spread([3, 1, 2.254]) == "2.25 (1.00-3.00)"
    assert table(("", "a"), [("b", 1)]) == "|  | a |\n| --- | ---: |\n| b | 1 |"


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["tokens", "--rounds", "1", "--tokens", "100"],
        ["request", "hot", "--only", "authx database", "--database", "sqlite", "--rounds", "1"],
        ["issuing", "--only", "authx database", "--database", "sqlite", "--rounds", "1", "--logins", "25"],
        [
            "scale",
            "--sessions",
            "100",
            "--database",
            "sqlite",
            "--rounds",
            "1",
            "--acts",
            "login,refresh,end",
        ],
    ],
    ids=lambda words: words[0],
)
def test_it_prints_tables(words):
    few = ["--requests", "200"] if words[0] == "request" else []
    environment = {**os.environ, "PYTHONWARNINGS": "", "PYTHONPATH": str(ROOT)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    command = [sys.executable, "-m", f"benchmarks.{words[0]}", *words[1:], *few]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert any(line.startswith("| ---") for line in lines)
    assert any("authx" in line or "refresh" in line for line in lines if line.startswith("| "))
