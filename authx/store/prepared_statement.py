"""A statement that PostgreSQL parses and plans once per connection, where that is safe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

from django.db import Error, OperationalError

from authx import clocks
from authx.store import database

#: The run on one connection at which a statement is prepared; with CONN_MAX_AGE 0 few get that far.
RUNS_BEFORE_PREPARING = 5
#: The attribute in which a connection keeps, by name, the driver's connection and its number of runs.
_USES = "_authx_prepared"
#: A run that takes longer, in seconds, may follow a plan that was made when the tables were small.
SLOW_SECONDS = 0.0005
#: For so many seconds a connection keeps its plans all the same: some databases are always that slow.
PLAN_SECONDS = 10.0
#: The attribute in which a connection keeps when they were made, and for which of the driver's connections.
_PLANNED_AT = "_authx_planned_at"
#: The attribute in which a connection keeps the driver's connection and a cursor of that.
_CURSOR = "_authx_cursor"
#: The methods by which a connection makes one; a tool that watches has put its own into the instance.
_MAKERS = frozenset({"cursor", "create_cursor", "make_cursor"})


class Prepared:
    """One statement, run as it is, or by the name under which it was prepared.

    It runs as it is inside a transaction, where a failure would cost more than the statement, and where
    DISABLE_SERVER_SIDE_CURSORS says that there is a connection pooler: the next statement may reach a server
    that does not know the name. Behind a pooler without that setting, a statement whose name is unknown runs
    as it is.

    PostgreSQL keeps its plan until autovacuum has counted the rows anew, minutes later or never: of tables
    that were small then it may read every row, however many there are by now. So a slow run drops an old one.
    """

    def __init__(self, sql: str) -> None:
        self.sql = sql
        # Named by a hash of its text: another release behind the same pooler may have another statement.
        self.name = f"authx_{sha256(sql.encode()).hexdigest()[:16]}"
        places = ", ".join(["%s"] * sql.replace("%%", "").count("%s"))
        self._call = f"EXECUTE {self.name} ({places})"

    def fetch(self, connection: Any, values: Sequence[Any]) -> Any:
        """Return the first row, or None."""
        return self._run(connection, values, lambda cursor: cursor.fetchone())

    def fetch_all(self, connection: Any, values: Sequence[Any]) -> Any:
        """Return all rows."""
        return self._run(connection, values, lambda cursor: cursor.fetchall())

    def write(self, connection: Any, values: Sequence[Any]) -> int | None:
        """Run it by its name and return how many rows it has written; None if it has no name here.

        It is then a transaction of its own; after None nothing was done.
        """
        if not self._is_ready(connection):
            return None
        try:
            return int(self._execute(connection, values, lambda cursor: cursor.rowcount))
        except OperationalError:
            raise
        except Error:
            self._give_up(connection)
            return None

    def _run(self, connection: Any, values: Sequence[Any], fetch: Callable[[Any], Any]) -> Any:
        if self._is_ready(connection):
            try:
                return self._execute(connection, values, fetch)
            except OperationalError:
                raise
            except Error:  # not known on this server, or its tables have changed
                self._give_up(connection)
        return _run(connection, self.sql, values, fetch)

    def _execute(self, connection: Any, values: Sequence[Any], fetch: Callable[[Any], Any]) -> Any:
        began = clocks.monotonic()
        if (cursor := _kept_cursor(connection)) is None:
            found = _run(connection, self._call, values, fetch)
        else:
            cursor.execute(self._call, values)
            found = fetch(cursor)
        if (now := clocks.monotonic()) - began > SLOW_SECONDS:
            _drop_old_plans(connection, now)
        return found

    def _is_ready(self, connection: Any) -> bool:
        if connection.vendor != "postgresql" or connection.connection is None:
            return False
        if not database.commits_at_once(connection):
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
        if connection.__dict__.get(_PLANNED_AT, (None, 0.0))[0] is not connection.connection:
            connection.__dict__[_PLANNED_AT] = connection.connection, clocks.monotonic()
        return True

    def _give_up(self, connection: Any) -> None:
        connection.__dict__[_USES][self.name] = connection.connection, float("-inf")


def _drop_old_plans(connection: Any, now: float) -> None:
    """Have PostgreSQL plan what is prepared here again, each at its next run; never fails."""
    if now - connection.__dict__[_PLANNED_AT][1] < PLAN_SECONDS:
        return
    connection.__dict__[_PLANNED_AT] = connection.connection, now
    with suppress(Error), connection.wrap_database_errors, connection.connection.cursor() as cursor:
        cursor.execute("DISCARD PLANS")


def _kept_cursor(connection: Any) -> Any:
    """Return a cursor of Django's that its connection keeps for us: making one takes longer than using it.

    None where each is to be made by the connection anew: because queries are logged, or a tool watches how.
    What ``connection.cursor`` does first is done here, too.
    """
    if connection.queries_logged or not _MAKERS.isdisjoint(connection.__dict__):
        return None
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.validate_thread_sharing()
    raw, cursor = connection.__dict__.get(_CURSOR, (None, None))
    if cursor is None or raw is not connection.connection:
        cursor = connection.cursor()
        connection.__dict__[_CURSOR] = connection.connection, cursor
    return cursor


def _run(connection: Any, sql: str, values: Sequence[Any], fetch: Callable[[Any], Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return fetch(cursor)
