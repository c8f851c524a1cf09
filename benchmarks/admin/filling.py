"""Fills an empty PostgreSQL site with sessions of twelve weeks and their events, made by the server."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.many import live_session
from benchmarks.scale import maintenance

SESSIONS_EACH = 5
EVENTS_EACH = 10

#: A number from 0 to 999 that looks drawn, the same for each ``n`` at every run.
_DRAWN = "(n::bigint * 7919 + n / 1000 * 104729 + n / 7 * 31) %% 1000"
_OPENED = "%(now)s - interval '84 days' * (1 - n::float / %(sessions)s)"

#: Of the newest three in ten sessions one in three is live; the others have ended in one of the usual ways.
_DRAWS = f"""
SELECT n, {_DRAWN} AS drawn, {_OPENED} AS opened,
  n >= %(sessions)s * 0.7 AND n %% 3 = 0 AS is_live
FROM generate_series(0, %(sessions)s - 1) AS n
"""
_ROWS = f"""
SELECT n, drawn, opened, is_live,
  CASE WHEN is_live THEN '' WHEN drawn < 480 THEN 'logout' WHEN drawn < 780 THEN 'idle'
    WHEN drawn < 900 THEN 'replaced' WHEN drawn < 940 THEN 'password_changed' WHEN drawn < 970 THEN 'kicked'
    WHEN drawn < 995 THEN 'superseded' ELSE 'reused' END AS reason,
  least(opened + interval '5 days' * (drawn / 1000.0), %(now)s - interval '1 minute') AS over
FROM ({_DRAWS}) AS drawn_rows
"""
_DEVICE_TYPE = """CASE WHEN drawn %% 100 < 70 THEN 'web' WHEN drawn %% 100 < 85 THEN 'android'
  WHEN drawn %% 100 < 97 THEN 'ios' WHEN drawn %% 100 < 99 THEN 'desktop' ELSE 'other' END"""
#: By column of the session, an expression over one of the rows above.
_SESSION = {
    "id": "gen_random_uuid()",
    "user_id": "%(first)s + n %% %(users)s",
    "subject": "(%(first)s + n %% %(users)s)::text",
    "salt": "decode(md5(n::text) || md5('x' || n), 'hex')",
    "device_id": "md5('device ' || n)::uuid::text",
    "device_name": "CASE WHEN n %% 10 = 0 THEN 'Phone of ' || n %% %(users)s ELSE '' END",
    "device_type": _DEVICE_TYPE,
    "device_label": "CASE WHEN drawn %% 100 < 70 THEN 'Firefox on Windows' ELSE 'Safari on iPhone' END",
    "user_agent": "'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Gecko/20100101 Firefox/' || 100 + n %% 40",
    "ip": "('10.' || n / 65536 %% 256 || '.' || n / 256 %% 256 || '.' || n %% 256)::inet",
    "country": """CASE WHEN drawn < 600 THEN 'DE' WHEN drawn < 800 THEN 'FR' WHEN drawn < 990 THEN 'US'
        WHEN drawn < 999 THEN 'GB' ELSE 'IS' END""",
    "created_at": "opened",
    "auth_time": "opened",
    "rotated_at": "CASE WHEN is_live THEN %(now)s - interval '1 day' * (drawn / 1000.0) ELSE opened END",
    "last_seen_at": "CASE WHEN is_live THEN %(now)s - interval '1 day' * (drawn / 1000.0) ELSE opened END",
    "idle_expires_at": """CASE WHEN NOT is_live THEN opened + interval '7 days'
        ELSE least(opened + interval '30 days',
          %(now)s + interval '7 days' - interval '1 day' * (drawn / 1000.0)) END""",
    "expires_at": "opened + interval '30 days'",
    # Whoever has been away is found in the night; until then the row does not say that it is over.
    "ended_at": """CASE WHEN is_live THEN NULL WHEN reason <> 'idle' THEN over
        WHEN opened + interval '8 days' < %(now)s THEN opened + interval '8 days' END""",
    "end_reason": """CASE WHEN reason = 'idle' AND opened + interval '8 days' >= %(now)s THEN ''
        ELSE reason END""",
    "alarm_at": "CASE WHEN n %% 100 = 7 THEN least(opened + interval '1 day', %(now)s) END",
    "client_id": "CASE WHEN n %% 33 = 5 THEN 'client' || n %% 5 ELSE '' END",
}
#: By column of the event: ten for each session ``s``, of which ``k`` is the number.
_EVENT = {
    "session_id": "s.id",
    "at": "s.created_at + interval '5 hours' * k",
    "kind": """CASE WHEN k = 0 THEN 'opened' WHEN k = 9 AND s.ended_at IS NOT NULL THEN 'ended'
        WHEN k = 5 AND s.alarm_at IS NOT NULL THEN 'flagged' ELSE 'refreshed' END""",
    "outcome": """CASE WHEN k = 0 THEN '' WHEN k = 9 AND s.ended_at IS NOT NULL THEN s.end_reason
        WHEN k = 5 AND s.alarm_at IS NOT NULL THEN 'copied' ELSE 'rotate' END""",
    "actor_id": "s.user_id",
    "ip": "s.ip",
}


def fill(sessions: int) -> None:
    """So many sessions of twelve weeks, a tenth of them live, each with ten events; five to a user."""
    from django.contrib.auth import get_user_model

    from authx.models import DeviceSession, SessionEvent
    from authx.store.database import database_now

    model = get_user_model()
    template = model.objects.create_user("template", password="benchmark")
    now, users = database_now(), -(-sessions // SESSIONS_EACH)
    values = {"now": now, "sessions": sessions, "users": users, "first": template.pk + 1}
    named = {"id": "%(first)s + n", "username": "'user' || n", "email": "'user' || n || '@example.org'"}
    with maintenance.unchecked(model, DeviceSession, SessionEvent):
        _insert(template, named, "generate_series(0, %(users)s - 1) AS n", values)
        _insert(live_session(template, now), _SESSION, f"({_ROWS}) AS rows", values)
        event, numbers = SessionEvent(), f"generate_series(0, {EVENTS_EACH - 1}) AS k"
        _insert(event, _EVENT, f"authx_devicesession AS s, {numbers}", values)


def _insert(template: Any, columns: dict[str, str], source: str, values: dict[str, Any]) -> None:
    """Insert a copy of an instance for each row of ``source``, in which these columns differ."""
    from django.db import connection

    meta = template._meta
    fields = [one for one in meta.concrete_fields if one.column not in columns]
    fields = [one for one in fields if not one.primary_key]
    same = {
        f"same_{one.column}": one.get_db_prep_save(one.value_from_object(template), connection)
        for one in fields
    }
    places = [f"CAST(%(same_{one.column})s AS {one.cast_db_type(connection)})" for one in fields]
    names = ", ".join(f'"{name}"' for name in [*columns, *(one.column for one in fields)])
    values_of = ", ".join([*columns.values(), *places])
    sql = f"INSERT INTO {meta.db_table} ({names}) SELECT {values_of} FROM {source}"
    with connection.cursor() as cursor:
        cursor.execute(sql, values | same)
