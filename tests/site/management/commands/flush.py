"""Empty the tables after a test that commits, at a few statements where Django's own takes about a hundred.

Django deletes from every table, whether or not there is anything in it, and has content types and permissions
made anew. They are the same for all tests: here they stay.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.core.management.commands import flush
from django.db import connections, transaction

from authx.sessions.last_seen import last_seen

#: Filled by Django once the tables have been made.
KEPT = ("django_content_type", "auth_permission")


class Tables(NamedTuple):
    """What a database is like with nothing in it."""

    emptied: list[str]
    #: How many rows each of ``KEPT`` has.
    kept: tuple[int, ...]


#: By alias and name of the database, once Django's own has emptied it.
_known: dict[tuple[str, str], Tables] = {}


class Command(flush.Command):
    """Stands before Django's, in the tests alone."""

    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        key = options["database"], str(connection.settings_dict["NAME"])
        known = _known.get(key)
        is_after_a_test = not options["interactive"] and not options.get("reset_sequences", True)
        if is_after_a_test and known is not None and known.kept == _kept(connection):
            _empty(connection, known.emptied)
            last_seen.clear()  # which Django's own has done by its signal; nobody else listens
            return
        super().handle(**options)
        names = connection.introspection.django_table_names(only_existing=True, include_views=False)
        _known[key] = Tables([name for name in names if name not in KEPT], _kept(connection))


def _kept(connection: Any) -> tuple[int, ...]:
    return _row(connection, [f"(SELECT COUNT(*) FROM {name})" for name in KEPT])


def _empty(connection: Any, names: list[str]) -> None:
    quoted = [connection.ops.quote_name(name) for name in names]
    holds = _row(connection, [f"EXISTS (SELECT 1 FROM {name})" for name in quoted])
    filled = [name for name, is_filled in zip(quoted, holds, strict=True) if is_filled]
    if not filled:
        return
    # Whichever comes first: SQLite and PostgreSQL check the references at the end, MariaDB at once.
    with (
        transaction.atomic(using=connection.alias),
        connection.constraint_checks_disabled(),
        connection.cursor() as cursor,
    ):
        for name in filled:
            cursor.execute(f"DELETE FROM {name}")


def _row(connection: Any, expressions: list[str]) -> tuple[int, ...]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(expressions)}")
        return tuple(cursor.fetchone())
