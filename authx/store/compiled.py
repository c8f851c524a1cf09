"""Statements compiled once per process: building and compiling a queryset costs more than running it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any
from weakref import WeakSet

from django.db import connections, models
from django.db.models.sql import UpdateQuery

from authx.models import DeviceSession
from authx.store import database
from authx.store.prepared_statement import Prepared

#: What compiles: alias to queryset, of ``values_list``, unordered.
Build = Callable[[str], Any]
#: The place, function and column of a conversion that a queryset would apply to a row.
_Conversion = tuple[int, Callable[..., Any], Any]
#: Constants that are written into the text: each parameter costs time.
_CONSTANTS = {1: "1", "": "''"}


class Given(str):
    """Stands in a queryset for a text that each run gives anew, by this name."""

    __slots__ = ()


class Parameter(models.Expression):
    """Stands in a queryset for a value of any type; each run gives it anew, as the database takes it."""

    def __init__(self, name: str, output_field: models.Field[Any, Any]) -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Return its place in the statement."""
        return "%s", [Given(self.name)]


class Statements(dict[tuple[str, type], Any]):
    """Statements by database alias and kind of connection, each made when it is first run."""

    __eq__, __hash__ = object.__eq__, object.__hash__  # type: ignore[assignment]

    def __init__(self, make: Callable[[Any], Any]) -> None:
        """Make each with ``make``, which takes the connection."""
        super().__init__()
        self._make = make
        _kept.add(self)

    def __missing__(self, key: tuple[str, type]) -> Any:
        alias, _kind = key
        statement = self[key] = self._make(connections[alias])
        return statement


#: All that are alive.
_kept: WeakSet[Statements] = WeakSet()


def forget_statements() -> None:
    """Have every statement compiled again at its next run: what was written into its text has changed."""
    for statements in list(_kept):
        statements.clear()


class CompiledUpdate:
    """One UPDATE: ``build`` returns the queryset of its rows, and what to set."""

    def __init__(self, build: Callable[[str], tuple[models.QuerySet[Any], Mapping[str, Any]]]) -> None:
        self._build = build
        self._statements = Statements(self._compiled)

    def run(self, given: Mapping[str, Any]) -> int:
        """Return how many rows it has changed, in the database that authx writes."""
        connection = database.current_connection()
        sql, values = self.statement(given, connection)
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return int(cursor.rowcount)

    def run_at_once(self, given: Mapping[str, Any]) -> int | None:
        """Do the same in a transaction of its own; None in one of somebody else's, and nothing was done."""
        connection = database.current_connection()
        return self.run(given) if database.commits_at_once(connection) else None

    def statement(self, given: Mapping[str, Any], connection: Any) -> tuple[str, list[Any]]:
        """Return its text and the values for it, in the order of their places."""
        sql, parameters = self._statements[connection.alias, type(connection)]
        return sql, _filled(parameters, given)

    def _compiled(self, connection: Any) -> tuple[str, list[Any]]:
        rows, values = self._build(connection.alias)
        query: Any = rows.query.chain(UpdateQuery)
        query.add_update_values(values)
        return written_out(*query.get_compiler(connection=connection).as_sql())


class Compiled:
    """One SELECT of the values it is given, and its rows as a queryset would convert them.

    With ``beside`` each row is followed by that of the other queryset with the same ``on``, or by None for
    each of its columns.
    """

    def __init__(self, build: Build, *, beside: Build | None = None, on: str = "") -> None:
        self._builds = (build,) if beside is None else (build, beside)
        self._on = on
        self._statements = Statements(self._compiled)

    def first(self, given: Mapping[str, Any]) -> list[Any] | None:
        """Return the first row; None if there is none. One statement, in the database that authx writes."""
        connection = database.current_connection()
        statement: _Statement = self._statements[connection.alias, type(connection)]
        row = statement.prepared.fetch(connection, _filled(statement.parameters, given))
        return None if row is None else statement.convert(row, connection)

    def all(self, given: Mapping[str, Any]) -> list[list[Any]]:
        """Return every row. One statement, in the database that authx writes."""
        connection = database.current_connection()
        statement: _Statement = self._statements[connection.alias, type(connection)]
        rows = statement.prepared.fetch_all(connection, _filled(statement.parameters, given))
        return [statement.convert(row, connection) for row in rows]

    def _compiled(self, connection: Any) -> _Statement:
        return _Statement([build(connection.alias) for build in self._builds], self._on, connection)


class CompiledValues:
    """One SELECT of expressions that belong to no row; ``build`` makes them for an alias."""

    def __init__(self, build: Callable[[str], Sequence[Any]]) -> None:
        self._build = build
        self._statements = Statements(self._compiled)

    def read(self, given: Mapping[str, Any] = MappingProxyType({})) -> list[Any]:
        """Return their values. One statement, in the database that authx writes."""
        connection = database.current_connection()
        sql, parameters, conversions = self._statements[connection.alias, type(connection)]
        with connection.cursor() as cursor:
            cursor.execute(sql, _filled(parameters, given))
            return _converted(cursor.fetchone(), conversions, connection)

    def _compiled(self, connection: Any) -> tuple[str, list[Any], list[_Conversion]]:
        expressions = self._build(connection.alias)
        compiler = DeviceSession.objects.using(connection.alias).query.get_compiler(connection.alias)
        texts, values = zip(*map(compiler.compile, expressions), strict=True)
        conversions = list(converters_of(expressions, connection))
        return f"SELECT {', '.join(texts)}", [*chain(*values)], conversions


class _Statement:
    """A SELECT for one kind of database."""

    def __init__(self, querysets: Sequence[Any], on: str, connection: Any) -> None:
        texts, self.parameters, columns = [], [], []
        for queryset in querysets:
            compiler = queryset.query.get_compiler(connection=connection)
            sql, parameters = written_out(*compiler.as_sql())
            texts.append(sql)
            self.parameters += parameters
            columns += [column for column, *_ in compiler.select]
        if len(texts) > 1:
            left, right = texts
            texts = [
                f"SELECT one.*, other.* FROM ({left}) one LEFT JOIN ({right}) other ON other.{on} = one.{on}"
            ]
        self.converters = list(converters_of(columns, connection))
        self.prepared = Prepared(texts[0])

    def convert(self, row: Iterable[Any], connection: Any) -> list[Any]:
        return _converted(row, self.converters, connection)


def _filled(parameters: Iterable[Any], given: Mapping[str, Any]) -> list[Any]:
    """Return the parameters with the values of this run in the places of what is given by name."""
    return [given[one] if isinstance(one, Given) else one for one in parameters]


def written_out(sql: str, parameters: Iterable[Any]) -> tuple[str, list[Any]]:
    """Return the statement with its constants written into the text, and the parameters that are left."""
    first, *others = sql.split("%s")
    kept = []
    for parameter, text in zip(parameters, others, strict=True):
        constant = None if isinstance(parameter, Given) else _CONSTANTS.get(parameter)
        if constant is None:
            kept.append(parameter)
        first += ("%s" if constant is None else constant) + text
    return first, kept


def _converted(row: Iterable[Any], conversions: Iterable[_Conversion], connection: Any) -> list[Any]:
    values = list(row)
    for place, convert, column in conversions:
        values[place] = convert(values[place], column, connection)
    return values


def converters_of(columns: Iterable[Any], connection: Any) -> Iterator[_Conversion]:
    """Yield the place, function and column of each conversion that a queryset would apply to a row."""
    for place, column in enumerate(columns):
        found: list[Callable[..., Any]] = [
            *connection.ops.get_db_converters(column),
            *column.get_db_converters(connection),
        ]
        yield from ((place, convert, column) for convert in found)


def names_of(model: type[models.Model]) -> list[str]:
    """Return the names of a model's columns, as ``from_db`` takes them."""
    return [field.attname for field in model._meta.concrete_fields]
