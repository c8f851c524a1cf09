"""An INSERT compiled once per process, alone or in one statement with the UPDATE that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from django.db import models

from authx.store import database
from authx.store.compiled import CompiledUpdate
from authx.store.prepared_statement import Prepared


class CompiledInsert:
    """The INSERT of one row whose key the database makes; as ``bulk_create``, it sends no signal."""

    def __init__(self, model: type[models.Model]) -> None:
        self._model = model
        #: By kind of connection.
        self._heads: dict[type, str] = {}

    def run(self, row: models.Model) -> None:
        """Insert ``row`` in the database that authx writes, in the caller's transaction."""
        connection = database.current_connection()
        places, values = self.places(row, connection)
        with connection.cursor() as cursor:
            cursor.execute(f"{self.head(connection)} VALUES ({places})", values)

    def head(self, connection: Any) -> str:
        """Return the statement as far as its columns."""
        kind = type(connection)
        if kind not in self._heads:
            quote = connection.ops.quote_name
            columns = ", ".join(quote(field.column) for field in self._fields)
            self._heads[kind] = f"INSERT INTO {quote(self._model._meta.db_table)} ({columns})"
        return self._heads[kind]

    def places(self, row: models.Model, connection: Any) -> tuple[str, list[Any]]:
        """Return the places of a row's columns in the statement, and the values for them.

        What is empty is written into the text: a value costs time, and most columns of most rows are empty.
        """
        texts, values = [], []
        for field in self._fields:
            value = field.pre_save(row, add=True)
            if value is None:
                texts.append("NULL")
            elif value == "" and field.empty_strings_allowed:
                texts.append("''")
            else:
                texts.append("%s")
                values.append(field.get_db_prep_save(value, connection))
        return ", ".join(texts), values

    @cached_property
    def _fields(self) -> list[models.Field[Any, Any]]:
        return [field for field in self._model._meta.concrete_fields if not field.primary_key]


class UpdateAndInsert:
    """An UPDATE of at most one row, and the INSERT of another where it has changed that: one statement."""

    def __init__(self, update: CompiledUpdate, insert: CompiledInsert) -> None:
        self.update, self._insert = update, insert
        #: By database alias, kind of connection and the places of the row.
        self._statements: dict[tuple[str, type, str], Prepared] = {}

    def run_at_once(self, given: Mapping[str, Any], make_row: Callable[[], models.Model]) -> int | None:
        """Return how many rows the UPDATE has changed, in a transaction of its own with the INSERT.

        None where one statement cannot do it, or has not been prepared; then nothing was done. None too where
        the site's own code watches or guards the statements of this connection (``execute_wrappers``): it is
        shown the UPDATE and the INSERT, not the name of a statement that does both.
        """
        connection = database.current_connection()
        if connection.vendor != "postgresql" or connection.execute_wrappers:
            return None
        update, values = self.update.statement(given, connection)
        places, others = self._insert.places(make_row(), connection)
        key = connection.alias, type(connection), places
        if key not in self._statements:
            insert = f"{self._insert.head(connection)} SELECT {places} FROM changed"
            self._statements[key] = Prepared(f"WITH changed AS ({update} RETURNING 1) {insert}")
        return self._statements[key].write(connection, values + others)
