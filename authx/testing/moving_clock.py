"""A clock for tests, which moves all that authx judges a session by: Python's time and the database's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db.models.functions import Now
from django.utils import timezone

from authx import clocks
from authx.store.compiled import forget_statements
from authx.store.database import DatabaseNow

_system_now = timezone.now


class Clock:
    """The time of this process while a ``clock()`` block runs; it goes on by itself, as always."""

    def now(self) -> datetime:
        """Return the time, aware, as ``timezone.now`` does."""
        return timezone.now()

    def advance(self, by: timedelta | None = None, /, **duration: float) -> None:
        """Let time pass, by a ``timedelta`` or by what makes one: ``advance(minutes=20)``.

        What is negative puts the clock back.

        Raises:
            TypeError: it is neither, or both.
        """
        if (by is None) == (not duration):
            raise TypeError("advance() takes a timedelta, or the arguments of one")
        passed = timedelta(**duration) if by is None else by
        _move(clocks.ahead() + passed.total_seconds())

    def move_to(self, moment: datetime) -> None:
        """Make it that time, which has to be aware; it goes on from there.

        Raises:
            ValueError: it is naive.
        """
        if timezone.is_naive(moment):
            raise ValueError("move_to() takes an aware datetime")
        self.advance(moment - self.now())


@contextmanager
def clock() -> Iterator[Clock]:
    """Let tests move time, for every session, token and limit of this process; put it back afterwards.

    Moves authx's own clocks, Django's ``timezone.now`` and the database's clock as authx asks for it, in all
    threads. Nothing else: not ``time.time`` and ``datetime.now``, not the time-outs of caches, not the clock
    of Redis, and no other process.
    """
    before = clocks.ahead()
    try:
        yield Clock()
    finally:
        _move(before)


def _move(seconds: float) -> None:
    clocks.move(seconds)
    timezone.now = _moved_now if seconds else _system_now
    if seconds:
        DatabaseNow.as_sql = _moved_sql  # type: ignore[assignment]
    elif "as_sql" in vars(DatabaseNow):
        del DatabaseNow.as_sql
    forget_statements()


def _moved_now() -> datetime:
    return _system_now() + timedelta(seconds=clocks.ahead())


def _moved_sql(self: Any, compiler: Any, connection: Any, **extra: Any) -> Any:
    """Compile ``DatabaseNow`` as so much later than the database's clock."""
    sql, parameters = Now.as_sql(self, compiler, connection, **extra)
    return _LATER[connection.vendor](sql, clocks.ahead()), parameters


#: By the vendor of the database: a time, and the seconds to add to it.
_LATER: dict[str, Callable[[str, float], str]] = {
    "sqlite": lambda sql, seconds: sql.replace("'NOW'", f"'NOW', '{seconds:+.3f} seconds'"),
    "postgresql": lambda sql, seconds: f"({sql} + INTERVAL '{seconds:.6f} seconds')",
    "mysql": lambda sql, seconds: f"({sql} + INTERVAL {round(seconds * 1_000_000)} MICROSECOND)",
}
