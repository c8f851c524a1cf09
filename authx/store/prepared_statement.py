"""A statement that PostgreSQL parses and plans once per connection, where that is safe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from django.db import Error, OperationalError

#: The run on one connection at which a statement is prepared; with CONN_MAX_AGE 0 few get that far.
RUNS_BEFORE_PREPARING = 5
#: The attribute in which a connection keeps, by name, the driver's connection and its number of runs.
_USES = "_authx_prepared"


class Prepared:
    """One SELECT, run as it is, or by the name under which it was prepared.

    It runs as it is inside a transaction, where a failure would cost more than the statement, and where
    DISABLE_SERVER_SIDE_CURSORS says that there is a connection pooler: the next statement may reach a server
    that does not know the name. Behind a pooler without that setting, a statement whose name is unknown runs
    as it is.
    """

    def __init__(self, sql: str) -> None:
        self.sql = sql
        # Named by a hash of its text: another release behind the same pooler may have another statement.
        self.name = f"authx_{sha256(sql.encode()).hexdigest()[:16]}"

    def fetch(self, connection: Any, values: Sequence[Any]) -> Any:
        """Return the first row, or None."""
        return self._run(connection, values, lambda cursor: cursor.fetchone())

    def fetch_all(self, connection: Any, values: Sequence[Any]) -> Any:
        """Return all rows."""
        return self._run(connection, values, lambda cursor: cursor.fetchall())

    def _run(self, connection: Any, values: Sequence[Any], fetch: Callable[[Any], Any]) -> Any:
        if self._is_ready(connection):
            try:
                places = ", ".join(["%s"] * len(values))
                return _run(connection, f"EXECUTE {self.name} ({places})", values, fetch)
            except OperationalError:
                raise
            except Error:  # not known on this server, or its tables have changed
                self._give_up(connection)
        return _run(connection, self.sql, values, fetch)

    def _is_ready(self, connection: Any) -> bool:
        if connection.vendor != "postgresql" or connection.in_atomic_block or connection.connection is None:
            return False
        if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
            return False
        uses = connection.__dict__.setdefault(_USES, {})
        raw, count = uses.get(self.name, (None, 0))
        count = count + 1 if raw is connection.connection else 1
        uses[self.name] = connection.connection, count
        return count > RUNS_BEFORE_PREPARING or (count == RUNS_BEFORE_PREPARING and self._prepare(connection))

    def _prepare(self, connection: Any) -> bool:
        """Prepare on the driver's own cursor: the statement belongs to the connection, not to the request."""
        first, *others = self.sql.replace("%%", "%").split("%s")
        statement = first + "".join(f"${number}{text}" for number, text in enumerate(others, 1))
        try:
            with connection.wrap_database_errors, connection.connection.cursor() as cursor:
                cursor.execute(f"PREPARE {self.name} AS {statement}")
        except OperationalError:
            raise
        except Error:
            self._give_up(connection)
            return False
        return True

    def _give_up(self, connection: Any) -> None:
        connection.__dict__[_USES][self.name] = connection.connection, float("-inf")


def _run(connection: Any, sql: str, values: Sequence[Any], fetch: Callable[[Any], Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return fetch(cursor)
