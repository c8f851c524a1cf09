"""Statements compiled once per process: building and compiling a queryset costs more than running it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import connections, models
from django.db.models.sql import UpdateQuery

from authx.store import database
from authx.store.prepared_statement import Prepared

#: What compiles: alias to queryset, of ``values_list``, unordered.
Build = Callable[[str], Any]
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


class CompiledUpdate:
    """One UPDATE: ``build`` returns the queryset of its rows, and what to set."""

    def __init__(self, build: Callable[[str], tuple[models.QuerySet[Any], Mapping[str, Any]]]) -> None:
        self._build = build
        self._statements: dict[tuple[str, type], tuple[str, list[Any]]] = {}

    def run(self, given: Mapping[str, Any]) -> int:
        """Return how many rows it has changed, in the database that authx writes."""
        alias = database.alias()
        connection = connections[alias]
        key = alias, type(connection)
        if key not in self._statements:
            rows, values = self._build(alias)
            query: Any = rows.query.chain(UpdateQuery)
            query.add_update_values(values)
            self._statements[key] = written_out(*query.get_compiler(connection=connection).as_sql())
        sql, parameters = self._statements[key]
        with connection.cursor() as cursor:
            cursor.execute(sql, [given[one] if isinstance(one, Given) else one for one in parameters])
            return int(cursor.rowcount)


class Compiled:
    """One SELECT of the texts it is given, and its rows as a queryset would convert them.

    With ``beside`` each row is followed by that of the other queryset with the same ``on``, or by None for
    each of its columns.
    """

    def __init__(self, build: Build, *, beside: Build | None = None, on: str = "") -> None:
        self._builds = (build,) if beside is None else (build, beside)
        self._on = on
        #: By database alias and kind of connection.
        self._statements: dict[tuple[str, type], _Statement] = {}

    def first(self, given: Mapping[str, str]) -> list[Any] | None:
        """Return the first row; None if there is none. One statement, in the database that authx writes."""
        statement, connection = self._here()
        row = statement.prepared.fetch(connection, statement.values(given))
        return None if row is None else statement.convert(row, connection)

    def all(self, given: Mapping[str, str]) -> list[list[Any]]:
        """Return every row. One statement, in the database that authx writes."""
        statement, connection = self._here()
        rows = statement.prepared.fetch_all(connection, statement.values(given))
        return [statement.convert(row, connection) for row in rows]

    def _here(self) -> tuple[_Statement, Any]:
        alias = database.alias()
        connection = connections[alias]
        key = alias, type(connection)
        statement = self._statements.get(key)
        if statement is None:
            querysets = [build(alias) for build in self._builds]
            statement = self._statements[key] = _Statement(querysets, self._on, connection)
        return statement, connection


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

    def values(self, given: Mapping[str, str]) -> list[Any]:
        return [given[one] if isinstance(one, Given) else one for one in self.parameters]

    def convert(self, row: Iterable[Any], connection: Any) -> list[Any]:
        values = list(row)
        for place, convert, column in self.converters:
            values[place] = convert(values[place], column, connection)
        return values


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


def converters_of(columns: Iterable[Any], connection: Any) -> Iterator[tuple[int, Callable[..., Any], Any]]:
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
