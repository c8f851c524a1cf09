"""When sessions were last seen: gathered by each process, and written together after a response.

A process writes at most once a minute: as the first request ends when a minute has passed, on its thread and
connection, in one statement for a few hundred sessions. So where little happens, each use is written at once.
What has been gathered when a process stops is not written: the session is seen again when it is used again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from django.db import connections
from django.db.models import DateTimeField, F, Func
from django.db.models.signals import post_migrate

from authx import clocks
from authx.models import DeviceSession
from authx.store import database
from authx.store.after_request import after_request

logger = logging.getLogger("authx")

#: How stale ``last_seen_at`` may get before it is written; and how long a process gathers.
LAST_SEEN_INTERVAL = timedelta(seconds=60)
#: Sessions that one process gathers at most; about 300 bytes each.
MAX_SESSIONS = 100_000
#: Seconds until a write that failed is tried again.
REST_SECONDS = 5.0


@dataclass(slots=True)
class _Gathered:
    """What is to be written in one database, by the ids of sessions, and from when on, by the clock."""

    seen: dict[str, datetime] = field(default_factory=dict)
    due: float = float("-inf")


class LastSeen:
    """The uses that this process has not written yet."""

    def __init__(
        self, max_sessions: int = MAX_SESSIONS, clock: Callable[[], float] = clocks.monotonic
    ) -> None:
        self.max_sessions, self._clock = max_sessions, clock
        self._by_alias: dict[str, _Gathered] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return sum(len(gathered.seen) for gathered in self._by_alias.values())

    def record(self, sid: str, now: datetime) -> None:
        """Record that the session was used, once the surrounding transaction commits.

        Inside a test's own transaction it is written at that commit, so that nothing outlives the test.
        """
        if database.current_connection().in_atomic_block:
            database.after_commit(lambda: self._record(sid, now))
        else:
            self._record(sid, now)

    def _record(self, sid: str, now: datetime) -> None:
        alias = database.alias()
        if connections[alias].in_atomic_block:
            write({sid: now})
            return
        with self._lock:
            seen = self._by_alias.setdefault(alias, _Gathered()).seen
            if sid in seen or len(seen) < self.max_sessions:
                seen[sid] = max(now, seen.get(sid, now))

    def flush(self) -> None:
        """Write what is due, on this thread; called when a request has been answered. Errors are logged."""
        for alias, gathered in list(self._by_alias.items()):
            if gathered.seen and self._clock() >= gathered.due and not connections[alias].in_atomic_block:
                with database.pinned(alias):
                    self._flush(gathered)

    def _flush(self, gathered: _Gathered) -> None:
        connection = database.current_connection()
        was_open = connection.connection is not None
        with self._lock:  # another thread's request may be ending, too
            seen, gathered.seen = gathered.seen, {}
            gathered.due = self._clock() + LAST_SEEN_INTERVAL.total_seconds()
        try:
            write(seen)
        except Exception:
            logger.exception(
                "When sessions were last seen could not be written; it is tried again.",
                extra={"event": "last_seen_not_written"},
            )
            with self._lock:
                gathered.seen = seen | gathered.seen
                gathered.due = self._clock() + REST_SECONDS
        finally:
            if not was_open:  # Django has looked after its connections before this
                connection.close_if_unusable_or_obsolete()

    def clear(self, **kwargs: Any) -> None:
        """Forget all: in a forked process, whose parent writes it, and when the tables have been emptied."""
        self._lock, self._by_alias = Lock(), {}


def write(seen: Mapping[str, datetime]) -> None:
    """Write when sessions were seen, where that is a minute or more after what is known; one UPDATE for 500.

    So of many processes that have seen a session one writes it, and it never goes back.
    """
    for chunk in database.chunks(sorted(seen.items())):
        _write(chunk)


def _write(seen: Sequence[tuple[str, datetime]]) -> None:
    these = DeviceSession.objects.using(database.alias()).filter(pk__in=[sid for sid, _at in seen])
    before = [(sid, at - LAST_SEEN_INTERVAL) for sid, at in seen]
    these.filter(ended_at=None, last_seen_at__lte=_TimeOf(before)).update(last_seen_at=_TimeOf(seen))


class _TimeOf(Func):
    """The time of each session: Django's ``Case`` takes a hundred microseconds for each ``When``."""

    def __init__(self, times: Sequence[tuple[str, datetime]]) -> None:
        super().__init__(F("pk"), output_field=DateTimeField())
        self.times = times

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **extra: Any) -> Any:
        key, params = compiler.compile(self.get_source_expressions()[0])
        values = list(params)
        for sid, at in self.times:
            values.append(DeviceSession._meta.pk.get_db_prep_value(sid, connection))
            values.append(connection.ops.adapt_datetimefield_value(at))
        return f"CASE {key} {'WHEN %s THEN %s ' * len(self.times)}END", values

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        sql, values = self.as_sql(compiler, connection)
        return f"CAST({sql} AS DATETIME(6))", values  # else compared as a text


last_seen = LastSeen()
os.register_at_fork(after_in_child=last_seen.clear)
after_request(last_seen.flush)
post_migrate.connect(last_seen.clear, dispatch_uid="authx.sessions.last_seen")
