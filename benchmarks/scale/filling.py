"""Fills an empty site with live sessions, by COPY on PostgreSQL, where ten million take some minutes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from benchmarks.peers.many import live_session
from benchmarks.scale import maintenance

SESSIONS_EACH = 5
#: Rows of one piece of text.
CHUNK = 2000
DAYS = 6
DEVICES = (("web", "Firefox on Linux"), ("web", "Chrome on Windows"), ("ios", "Safari on iPhone"))

#: Those that differ from session to session.
SESSION_COLUMNS = (
    *("id", "user_id", "subject", "salt", "device_type", "device_label"),
    *("created_at", "auth_time", "rotated_at", "expires_at"),
)


def users_of(sessions: int) -> int:
    """How many users have so many sessions."""
    return -(-sessions // SESSIONS_EACH)


def name_of(user: int) -> str:
    """The name of the user of that number, from 0."""
    return f"user{user}"


def fill(sessions: int) -> None:
    """So many live sessions, each with the event of its opening; opened one after the other for six days."""
    from django.contrib.auth import get_user_model

    from authx.models import DeviceSession, SessionEvent
    from authx.store.database import database_now

    model = get_user_model()
    template = model.objects.create_user("template", password="benchmark")
    now = database_now()
    with maintenance.unchecked(model, DeviceSession, SessionEvent):
        _copy(template, ("id", "username"), _users(template.pk, sessions))
        first = live_session(template, now)
        _copy(first, SESSION_COLUMNS, _sessions(template.pk, sessions, now))
        _copy_openings()


def _users(before: int, sessions: int) -> Iterator[tuple[Any, ...]]:
    for user in range(users_of(sessions)):
        yield before + 1 + user, name_of(user)


def _sessions(before: int, sessions: int, now: datetime) -> Iterator[tuple[Any, ...]]:
    begin, lifetime = now - timedelta(days=DAYS, hours=1), timedelta(days=30)
    for number in range(sessions):
        opened = begin + timedelta(days=DAYS) * (number / sessions)
        user = before + 1 + number % users_of(sessions)
        milliseconds = int(opened.timestamp() * 1000)
        key = f"{milliseconds:012x}7{secrets.token_hex(10)[:19]}"  # as a version 7 UUID is ordered
        salt, device = secrets.token_bytes(32), DEVICES[number % len(DEVICES)]
        yield key, user, user, salt, *device, opened, opened, opened, opened + lifetime


def _copy(template: Any, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert copies of an instance that differ in these columns."""
    from django.db import connection

    meta = template._meta
    fields = [one for one in meta.concrete_fields if one.column not in names]
    same = [one.get_db_prep_save(one.value_from_object(template), connection) for one in fields]
    columns = [*names, *(one.column for one in fields)]
    if connection.vendor == "postgresql":
        _copy_text(meta.db_table, columns, "\t".join(map(_text, same)), rows)
    else:
        places = ", ".join(["%s"] * len(columns))
        sql = f"INSERT INTO {meta.db_table} ({', '.join(columns)}) VALUES ({places})"
        with connection.cursor() as cursor:
            cursor.executemany(sql, ([*map(_adapted, row), *same] for row in rows))


def _adapted(value: Any) -> Any:
    from django.db import connection

    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value


def _copy_text(table: str, columns: Sequence[str], same: str, rows: Iterable[Sequence[Any]]) -> None:
    from django.db import connection

    rest = iter(rows)
    sql = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with connection.connection.cursor() as cursor, cursor.copy(sql) as copy:
        while chunk := list(islice(rest, CHUNK)):
            copy.write("".join("\t".join(map(_text, row)) + f"\t{same}\n" for row in chunk))


def _text(value: Any) -> str:
    """A value as COPY reads it."""
    if value is None:
        return r"\N"
    if isinstance(value, bytes | memoryview):
        return rf"\\x{bytes(value).hex()}"
    if isinstance(value, bool):
        return "t" if value else "f"
    value = getattr(value, "obj", value)  # psycopg's wrapper of JSON
    if isinstance(value, list | dict):
        return json.dumps(value)
    return str(value)


def _copy_openings() -> None:
    """The event of each session's opening, made where the sessions are."""
    from django.db import connection

    from authx.models import SessionEvent

    event = SessionEvent(kind="opened", ip="192.0.2.7")
    taken = {"session_id": "id", "at": "created_at"}
    fields = [one for one in SessionEvent._meta.concrete_fields if not one.primary_key]
    others = [one for one in fields if one.column not in taken]
    values = [one.get_db_prep_save(one.value_from_object(event), connection) for one in others]
    columns = ", ".join([*taken, *(one.column for one in others)])
    # A constant in a SELECT has no type of its own.
    places = ", ".join(f"CAST(%s AS {_type(one)})" for one in others)
    sql = f"INSERT INTO authx_sessionevent ({columns}) SELECT {', '.join(taken.values())}, {places} "
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} FROM authx_devicesession", values)


def _type(field: Any) -> str:
    from django.db import connection

    return str(field.cast_db_type(connection))
