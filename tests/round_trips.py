"""What one act costs on the wire to PostgreSQL, as libpq itself traces it; and how many commits."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db import connection

T = TypeVar("T")

_WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")


def count_round_trips(act: Callable[[], T]) -> tuple[T, int]:
    """Do ``act``; return its result and how often this connection waited for the server's answer.

    The server says with each answer that it is ready for the next question.
    """
    connection.ensure_connection()
    driver = connection.connection
    with tempfile.TemporaryFile("w+") as traced:
        driver.pgconn.trace(traced.fileno())
        try:
            result = act()
        finally:
            driver.pgconn.untrace()
        assert connection.connection is driver
        os.lseek(traced.fileno(), 0, os.SEEK_SET)
        return result, traced.read().count("\tReadyForQuery\t")


def count_commits(statements: Sequence[str]) -> int:
    """Return how many transactions of these statements, BEGIN and COMMIT among them, have written."""
    commits = writes = 0
    is_open = False
    for sql in statements:
        if sql.startswith("BEGIN"):
            is_open, writes = True, 0
        elif sql.startswith("COMMIT"):
            is_open, commits = False, commits + bool(writes)
        elif sql.startswith(_WRITES):
            writes += 1
            commits += not is_open  # in autocommit each is a transaction of its own
    return commits
