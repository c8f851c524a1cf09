"""The database, the Redis and the keys of a run: PostgreSQL, or SQLite where there is none."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from benchmarks.peers.contestants import BY_NAME, Place
from benchmarks.peers.place import new_keys, postgresql, redis_server, sqlite
from benchmarks.peers.setup import configure


def has_postgresql() -> bool:
    """Whether a server of the driver's defaults, or of PGHOST and the like, lets us in."""
    try:
        import psycopg
    except ImportError:
        return False
    found = postgresql()
    try:
        psycopg.connect(
            host=found["HOST"],
            port=found["PORT"] or None,
            user=found["USER"],
            password=found["PASSWORD"] or None,
            dbname="postgres",
            connect_timeout=5,
        ).close()
    except (psycopg.Error, socket.gaierror):
        return False
    return True


@contextmanager
def a_place(database: str) -> Iterator[Place]:
    """Our tables in a database of their own, which is dropped in the end."""
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        wanted: dict[str, Any] = sqlite(folder) if database == "sqlite" else postgresql()
        place = Place(wanted, redis, **new_keys())
        configure(BY_NAME["authx database"], place)
        from django.db import connection
        from django.test.utils import setup_databases, teardown_databases

        made = setup_databases(verbosity=0, interactive=False)
        try:
            name = connection.settings_dict["NAME"]
            connection.close()
            yield replace(place, database=wanted | {"NAME": name})
        finally:
            teardown_databases(made, verbosity=0)
