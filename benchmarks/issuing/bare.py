"""The least that a refresh must do: BEGIN; UPDATE; INSERT; COMMIT, in our tables and by the same driver."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any


class Bare:
    """A connection of the driver itself, and the two statements with their values."""

    def __init__(self, session: Any) -> None:
        from django.db import connection

        self.begin = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN", "mysql": "START TRANSACTION"}[
            connection.vendor
        ]
        self.cursor = _connect(connection).cursor()
        self.update, self.set = _update(session, connection)
        self.insert, self.event = _insert(session, connection)
        if connection.vendor == "sqlite":
            self.update, self.insert = (sql.replace("%s", "?") for sql in (self.update, self.insert))

    def refresh(self) -> None:
        execute = self.cursor.execute
        execute(self.begin)
        execute(self.update, self.set)
        if self.cursor.rowcount != 1:
            raise RuntimeError("the session is not there")
        execute(self.insert, self.event)
        execute("COMMIT")

    def take(self, times: int) -> list[int]:
        """Nanoseconds of each of so many."""
        clock, found = time.perf_counter_ns, []
        for _ in range(times):
            start = clock()
            self.refresh()
            found.append(clock() - start)
        return found


def _connect(connection: Any) -> Any:
    """What Django would connect to, without Django."""
    parameters = connection.get_connection_params()
    if connection.vendor == "postgresql":
        import psycopg

        dropped = ("cursor_factory", "context", "prepare_threshold")
        kept = {name: value for name, value in parameters.items() if name not in dropped}
        return psycopg.connect(**kept, autocommit=True)
    if connection.vendor == "mysql":
        import MySQLdb

        made = MySQLdb.connect(**parameters)
        made.autocommit(True)
        return made
    import sqlite3

    made = sqlite3.connect(parameters["database"], isolation_level=None, timeout=20)
    made.executescript(connection.settings_dict["OPTIONS"]["init_command"])
    return made


def _update(session: Any, connection: Any) -> tuple[str, Sequence[Any]]:
    """As a rotation updates the row."""
    from django.db import models
    from django.utils import timezone

    now = timezone.now()
    values = {
        "confirmed_generation": 1,
        "rotated_at": now,
        "last_seen_at": now,
        "idle_expires_at": now,
        "spent_branch": 1,
        "late_streak": 0,
    }
    meta, quote = session._meta, connection.ops.quote_name
    fields: list[models.Field[Any, Any]] = [meta.get_field(name) for name in values]
    columns = ", ".join(f"{quote(field.column)} = %s" for field in fields)
    sql = f"UPDATE {quote(meta.db_table)} SET generation = generation + 1, {columns} WHERE id = %s"
    prepared = [field.get_db_prep_save(values[field.name], connection) for field in fields]
    return sql, [*prepared, meta.pk.get_db_prep_value(session.pk, connection)]


def _insert(session: Any, connection: Any) -> tuple[str, Sequence[Any]]:
    """As a rotation writes its event."""
    from django.utils import timezone

    from authx.models import SessionEvent

    event = SessionEvent(
        session_id=session.pk,
        kind="refreshed",
        outcome="rotated",
        at=timezone.now(),
        ip="192.0.2.7",
        user_agent=session.user_agent,
    )
    fields = [one for one in SessionEvent._meta.concrete_fields if not one.primary_key]
    columns = ", ".join(connection.ops.quote_name(one.column) for one in fields)
    places = ", ".join(["%s"] * len(fields))
    sql = f"INSERT INTO {SessionEvent._meta.db_table} ({columns}) VALUES ({places})"
    return sql, [one.get_db_prep_save(one.value_from_object(event), connection) for one in fields]
