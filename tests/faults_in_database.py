"""What a real database does on a bad day: it is gone, it is busy, it refuses to write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connection


@contextmanager
def outage() -> Iterator[None]:
    """The database cannot be reached: our connection is closed and leads nowhere."""
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(NAME="/no/such/directory/db", HOST="127.0.0.1", PORT="1")
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


REFUSE_EVENTS = {
    "sqlite": "BEGIN SELECT RAISE(ABORT, 'no events today'); END",
    "postgresql": "EXECUTE FUNCTION authx_refuse_events()",
    "mysql": "SIGNAL SQLSTATE '23000' SET MESSAGE_TEXT = 'no events today'",
}


@contextmanager
def broken_audit() -> Iterator[None]:
    """The database refuses every new event, by a trigger."""
    postgresql = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        if postgresql:
            cursor.execute(
                "CREATE FUNCTION authx_refuse_events() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE 'no events today' USING ERRCODE = '23514'; END $$"
            )
        cursor.execute(
            "CREATE TRIGGER authx_refuse BEFORE INSERT ON authx_sessionevent FOR EACH ROW "
            + REFUSE_EVENTS[connection.vendor]
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            on = " ON authx_sessionevent" if postgresql else ""
            cursor.execute(f"DROP TRIGGER authx_refuse{on}")
            if postgresql:
                cursor.execute("DROP FUNCTION authx_refuse_events()")


READ_ONLY = {
    "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
    "postgresql": ("SET default_transaction_read_only = on", "SET default_transaction_read_only = off"),
    "mysql": ("SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ WRITE"),
}


@contextmanager
def read_only() -> Iterator[None]:
    """The database answers and refuses to write, as a standby does; outside a transaction."""
    begin, end = READ_ONLY[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(begin)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(end)


@contextmanager
def broken_database(only: str = "") -> Iterator[None]:
    """Every statement that contains ``only`` fails, as if the server had gone."""

    def fail(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if only in sql:
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        yield


@contextmanager
def deadlocks(times: int) -> Iterator[list[int]]:
    """The database picks us as the victim so often."""
    left = [times]

    def execute(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if left[0] and sql.startswith("UPDATE"):
            left[0] -= 1
            raise OperationalError("deadlock detected")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(execute):
        yield left
