"""The use of a session: its newest generation is confirmed (transition T2), and it has been seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from threading import Lock
from typing import Any

from django.db.models import Case, DateTimeField, F, IntegerField, UUIDField, When
from django.utils import timezone

from authx import clocks
from authx.conf import conf
from authx.core.claims import AccessClaims
from authx.core.time_limits import idle_expiry
from authx.models import DeviceSession
from authx.sessions.last_seen import LAST_SEEN_INTERVAL, last_seen
from authx.store import database
from authx.store.after_transaction import after_view
from authx.store.compiled import CompiledUpdate, Parameter

#: Sessions whose last use one process remembers; about 200 bytes each.
MAX_SESSIONS = 100_000
_INTERVAL_SECONDS = LAST_SEEN_INTERVAL.total_seconds()
#: Seconds without a write after one has failed, so that not every request tries a database that is down.
REST_SECONDS = 5.0


def record_use(session: DeviceSession, claims: AccessClaims, *, now: datetime) -> None:
    """Record that the client used its token: confirm the generation (T2), and once a minute that it was seen.

    T2 is written after the view (``after_view``); a failure is logged, and the next request tries again. When
    it was seen is written together with others' (``authx.sessions.last_seen``).
    """
    is_pending = session.rotation_state().is_pending
    is_unseen = now - session.last_seen_at >= LAST_SEEN_INTERVAL
    record_what_is_due(claims, session.generation, is_pending=is_pending, is_unseen=is_unseen, now=now)


def record_what_is_due(
    claims: AccessClaims, generation: int, *, is_pending: bool, is_unseen: bool, now: datetime
) -> None:
    """Record a use as ``record_use`` does, of a session of whose row this alone is known.

    ``is_pending``: its ``generation`` has not been confirmed; ``is_unseen``: it was last seen a minute ago.
    """
    if is_pending and claims.gen == generation:
        after_view(_key(claims), lambda: _confirm_seen(claims, now))
    elif is_unseen:
        last_seen.record(claims.sid, now)


def record_confirmation(session: DeviceSession, claims: AccessClaims) -> None:
    """Record that the client has the token of these claims (T2), and nothing of when it was seen."""
    if claims.gen == session.generation and session.rotation_state().is_pending:
        database.after_commit(lambda: _confirm(claims))


def record_presence(session: DeviceSession, *, now: datetime) -> None:
    """Record that a session was used that has no tokens, so that nothing is ever refreshed, once a minute.

    Its idle limit begins anew. Written as by ``record_use``.
    """
    if now - session.last_seen_at >= LAST_SEEN_INTERVAL:
        database.after_commit(lambda: _stay(session, now))


class Uses:
    """The uses that this process has recorded, for sessions whose rows were not read."""

    def __init__(
        self, max_sessions: int = MAX_SESSIONS, clock: Callable[[], float] = clocks.monotonic
    ) -> None:
        self.max_sessions, self._clock = max_sessions, clock
        #: By sid: the newest generation confirmed, and when it was last recorded (seconds of ``clock``).
        self._recorded: dict[str, tuple[int, float]] = {}
        self._rest_until = float("-inf")
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._recorded)

    def record(self, claims: AccessClaims) -> None:
        """Record a use as ``record_use`` does; that T2 was written is remembered once it has succeeded."""
        now, generation = self._clock(), claims.gen or 0
        known = self._recorded.get(claims.sid)
        if known is not None and known[0] >= generation:
            if now - known[1] >= _INTERVAL_SECONDS:
                self._remember(claims.sid, generation, now)
                last_seen.record(claims.sid, timezone.now())
        elif generation == 0:  # an exchanged token, which confirms nothing
            self._remember(claims.sid, 0, now)
            last_seen.record(claims.sid, timezone.now())
        elif now >= self._rest_until:
            after_view(_key(claims), lambda: self._write(claims, generation, now))

    def _write(self, claims: AccessClaims, generation: int, now: float) -> None:
        at = timezone.now()
        try:
            confirmed = _confirm_seen(claims, at)
        except Exception:
            self._rest_until = now + REST_SECONDS
            raise
        self._remember(claims.sid, generation, now)
        if not confirmed:  # by another process, before
            last_seen.record(claims.sid, at)

    def _remember(self, sid: str, generation: int, now: float) -> None:
        with self._lock:
            known = self._recorded.pop(sid, (0, now))  # to the end of the dict
            self._recorded[sid] = max(known[0], generation), now
            while len(self._recorded) > self.max_sessions:
                del self._recorded[next(iter(self._recorded))]

    def clear(self) -> None:
        """Forget all uses; also called in a forked process, where the parent's lock may be held."""
        self._lock = Lock()
        self._recorded, self._rest_until = {}, float("-inf")


def _confirm_seen(claims: AccessClaims, now: datetime) -> bool:
    """Confirm the generation, and that it was seen; neither ever goes back. Return whether it was pending."""
    connection = database.current_connection()
    return (
        _CONFIRM_SEEN.run(_of(claims) | {"now": _column("last_seen_at").get_db_prep_value(now, connection)})
        == 1
    )


def _confirm(claims: AccessClaims) -> None:
    _CONFIRM.run(_of(claims))


def _key(claims: AccessClaims) -> tuple[str, str, int | None]:
    return "T2", claims.sid, claims.gen


def _of(claims: AccessClaims) -> dict[str, Any]:
    """Return the values that the statements are given; an exchanged token has no generation, nor a row 0."""
    sid = DeviceSession._meta.pk.get_db_prep_value(claims.sid, database.current_connection())
    return {"sid": sid, "generation": claims.gen or 0}


def _column(name: str) -> Any:
    return DeviceSession._meta.get_field(name)


def _pending(alias: str) -> Any:
    """Return the live session of which the token is the first of its generation to come back."""
    generation = Parameter("generation", IntegerField())
    this = DeviceSession.objects.using(alias).filter(pk=Parameter("sid", UUIDField()), ended_at=None)
    return this.filter(generation=generation, confirmed_generation__lt=generation)


def _seen() -> Any:
    now = Parameter("now", DateTimeField())
    return Case(When(last_seen_at__lt=now, then=now), default=F("last_seen_at"))


_CONFIRM = CompiledUpdate(lambda alias: (_pending(alias), {"confirmed_generation": F("generation")}))
_CONFIRM_SEEN = CompiledUpdate(
    lambda alias: (_pending(alias), {"confirmed_generation": F("generation"), "last_seen_at": _seen()})
)


def _stay(session: DeviceSession, now: datetime) -> None:
    """Update the row in one conditional statement; neither of its times ever goes back."""
    this = DeviceSession.objects.using(database.alias()).filter(pk=session.pk, ended_at=None)
    idle = idle_expiry(now, conf.idle_period, session.expires_at)
    this.filter(last_seen_at__lt=now).update(last_seen_at=now, idle_expires_at=idle)


uses = Uses()
os.register_at_fork(after_in_child=uses.clear)
