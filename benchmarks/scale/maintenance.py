"""What an administrator of a PostgreSQL does around filling it: indexes afterwards, statistics, sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: By table: those that grow with logins.
TABLES = ("auth_user", "authx_devicesession", "authx_sessionevent")

_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = %s::regclass
AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""
_SEQUENCE = "SELECT setval(pg_get_serial_sequence(%s, 'id'), (SELECT max(id) FROM {table}))"


@contextmanager
def unchecked(*models: type[Any]) -> Iterator[None]:
    """Fill these tables without foreign keys being looked up, and index them afterwards."""
    from django.db import connection

    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SET maintenance_work_mem = '512MB'")
        definitions = []
        for model in models:
            cursor.execute(_INDEXES, [model._meta.db_table])
            definitions += cursor.fetchall()
        for name, _definition in definitions:
            cursor.execute(f"DROP INDEX {name}")
        yield
        for _name, definition in definitions:
            cursor.execute(definition)
        cursor.execute(_SEQUENCE.format(table="auth_user"), ["auth_user"])
        cursor.execute("SET session_replication_role = origin")


def settle() -> None:
    """Let the database know what it holds, as its autovacuum would in time."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def sizes() -> dict[str, tuple[int, int]]:
    """Bytes on disk of each table that grows, and of its indexes; empty but on PostgreSQL."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return {}
    found = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(
                "SELECT pg_table_size(%s::regclass), pg_indexes_size(%s::regclass)", [table, table]
            )
            found[table] = cursor.fetchone()
    return found
