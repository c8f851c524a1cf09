"""A device session read with its user: the statement of every request, compiled once per process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth import get_user_model
from django.db import connections

from authx.models import DeviceSession
from authx.sessions import database
from authx.sessions.prepared import Prepared

#: By database alias and kind of connection.
_compiled: dict[tuple[str, type], _Statement] = {}


class _Statement:
    """One SELECT by key, and how a row of it becomes a session with its user."""

    def __init__(self, alias: str, connection: Any) -> None:
        self.alias = alias
        self.session_columns = [field.attname for field in DeviceSession._meta.concrete_fields]
        self.user_columns = [field.attname for field in get_user_model()._meta.concrete_fields]
        self.user_key = self.user_columns.index(get_user_model()._meta.pk.attname)
        names = [*self.session_columns, *(f"user__{name}" for name in self.user_columns), "database_now"]
        query = database.rows().filter(pk=uuid4()).order_by().values_list(*names).query
        compiler = query.get_compiler(using=alias)
        self.sql, (_key,) = compiler.as_sql()
        self.converters = list(_converters([column for column, *_ in compiler.select], connection))
        self.prepared = Prepared(self.sql)

    def read(self, connection: Any, sid: UUID) -> DeviceSession | None:
        key = DeviceSession._meta.pk.get_db_prep_value(sid, connection)
        row = self.prepared.fetch(connection, key)
        return None if row is None else self._build(list(row), connection)

    def _build(self, row: list[Any], connection: Any) -> DeviceSession:
        for place, convert, column in self.converters:
            row[place] = convert(row[place], column, connection)
        middle = len(self.session_columns)
        session = DeviceSession.from_db(self.alias, self.session_columns, row[:middle])
        values = row[middle:-1]
        model = get_user_model()
        user = None if values[self.user_key] is None else model.from_db(self.alias, self.user_columns, values)
        DeviceSession._meta.get_field("user").set_cached_value(session, user)
        session.database_now = row[-1]
        return session


def _converters(columns: list[Any], connection: Any) -> Any:
    """What the database's values of each column go through, as a queryset would send them."""
    for place, column in enumerate(columns):
        found: list[Callable[..., Any]] = [
            *connection.ops.get_db_converters(column),
            *column.get_db_converters(connection),
        ]
        yield from ((place, convert, column) for convert in found)


def read_session(sid: UUID) -> DeviceSession | None:
    """The session, live or ended, with its user and ``database_now``; None if it is not there.

    One statement. A queryset would build and compile it at every request, which costs more than asking.

    Raises:
        StoreUnavailable: the database cannot be asked.
    """
    alias = database.alias()
    with database.store_errors():
        connection = connections[alias]
        key = alias, type(connection)
        statement = _compiled.get(key)
        if statement is None:
            statement = _compiled[key] = _Statement(alias, connection)
        return statement.read(connection, sid)
