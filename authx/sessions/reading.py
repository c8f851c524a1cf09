"""A device session read with its user: the statement of every request, compiled once per process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth import get_user_model
from django.db import connections, models
from django.db.models import Exists

from authx.models import DeviceSession, SigningKey, is_marked
from authx.sessions.not_before import apply_mark
from authx.store import database
from authx.store.database import DatabaseNow
from authx.store.prepared_statement import Prepared

#: By database alias and kind of connection.
_compiled: dict[tuple[str, type], _Statement] = {}


class _Statement:
    """One SELECT by key, and how a row of it becomes a session with its user."""

    def __init__(self, alias: str, connection: Any) -> None:
        self.alias = alias
        self.session_columns = [field.attname for field in DeviceSession._meta.concrete_fields]
        self.user_columns = [field.attname for field in get_user_model()._meta.concrete_fields]
        self.user_key = self.user_columns.index(get_user_model()._meta.pk.attname)
        user_columns = [f"user__{name}" for name in self.user_columns]
        key = SigningKey.objects.filter(kid="kid").exclude(withdrawn_at=None)
        clock = DatabaseNow(output_field=models.DateTimeField())
        found = DeviceSession.objects.filter(pk=uuid4()).order_by()
        found = found.annotate(_clock=clock, _marked=is_marked(), _withdrawn=Exists(key))
        names = [*self.session_columns, *user_columns, "_clock", "_marked", "_withdrawn"]
        compiler = found.values_list(*names).query.get_compiler(using=alias)
        self.sql = _written_out(*compiler.as_sql())
        self.converters = list(_converters([column for column, *_ in compiler.select], connection))
        self.prepared = Prepared(self.sql)

    def read(self, connection: Any, sid: UUID, kid: str) -> Reading | None:
        key = DeviceSession._meta.pk.get_db_prep_value(sid, connection)
        row = self.prepared.fetch(connection, (kid, key))  # in the order of SELECT, then WHERE
        return None if row is None else self._build(list(row), connection)

    def _build(self, row: list[Any], connection: Any) -> Reading:
        for place, convert, column in self.converters:
            row[place] = convert(row[place], column, connection)
        middle = len(self.session_columns)
        session = DeviceSession.from_db(self.alias, self.session_columns, row[:middle])
        values = row[middle:-3]
        model = get_user_model()
        user = None if values[self.user_key] is None else model.from_db(self.alias, self.user_columns, values)
        DeviceSession._meta.get_field("user").set_cached_value(session, user)
        session.database_now, session.is_marked, has_withdrawn_key = row[-3:]
        return Reading(session, has_withdrawn_key)


def _written_out(sql: str, given: Iterable[Any]) -> str:
    """Return the statement with its constants written into the text: each parameter costs time."""
    constants = {1: "1", "": "''"}
    first, *others = sql.split("%s")
    return first + "".join(
        constants.get(value, "%s") + text for value, text in zip(given, others, strict=True)
    )


def _converters(columns: list[Any], connection: Any) -> Any:
    """Yield the place, function and column of each conversion that a queryset would apply to a row."""
    for place, column in enumerate(columns):
        found: list[Callable[..., Any]] = [
            *connection.ops.get_db_converters(column),
            *column.get_db_converters(connection),
        ]
        yield from ((place, convert, column) for convert in found)


@dataclass(slots=True)
class Reading:
    """A session with its user, and what else the statement found."""

    session: DeviceSession
    #: Whether the signing key ``kid`` has been withdrawn.
    has_withdrawn_key: bool


def read_session(sid: UUID) -> DeviceSession | None:
    """Return the session, live or ended, with its user and ``database_now``; None if it is not there.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    found = read(sid)
    return None if found is None else found.session


def find_adopted(mark: str) -> DeviceSession | None:
    """Return the session whose ``adopted_from`` is ``mark``, as ``read_session`` does."""
    with database.store_errors():
        adopted = DeviceSession.objects.using(database.alias()).filter(adopted_from=mark)
        sid = adopted.values_list("pk", flat=True).first()
    return None if sid is None else read_session(sid)


def read(sid: UUID, *, kid: str = "") -> Reading | None:
    """Read a session as ``read_session`` does, and whether signing key ``kid`` was withdrawn.

    One statement: a queryset would build and compile it at every request, which costs more than running it. A
    second one if a not-before mark has ended the session: the mark's time and reason are not in its row.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    alias = database.alias()
    with database.store_errors():
        connection = connections[alias]
        key = alias, type(connection)
        statement = _compiled.get(key)
        if statement is None:
            statement = _compiled[key] = _Statement(alias, connection)
        found = statement.read(connection, sid, kid)
        if found is not None and found.session.is_marked and found.session.ended_at is None:
            apply_mark(found.session)
        return found
