"""The use of a session: its newest generation is confirmed (transition T2), and when it was last seen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from authx.conf import conf
from authx.core.claims import AccessClaims
from authx.core.time_limits import idle_expiry
from authx.models import DeviceSession
from authx.store import database

#: How stale ``last_seen_at`` may get before a request writes it.
LAST_SEEN_INTERVAL = timedelta(seconds=60)
#: Sessions whose last use one process remembers; about 200 bytes each.
MAX_SESSIONS = 100_000
#: Seconds without a write after one has failed, so that not every request tries a database that is down.
REST_SECONDS = 5.0

_COUNTER = models.PositiveBigIntegerField()


def record_use(session: DeviceSession, claims: AccessClaims, *, now: datetime) -> None:
    """Record that the client used its token: confirm the generation (T2), update last seen once a minute.

    Written after the surrounding transaction commits; a failure is logged, and the next request tries again.
    """
    confirms = claims.gen == session.generation and session.rotation_state().is_pending
    if confirms or now - session.last_seen_at >= LAST_SEEN_INTERVAL:
        database.after_commit(lambda: _write(claims, now))


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
    """The uses that this process has written, for sessions whose rows were not read."""

    def __init__(self, max_sessions: int = MAX_SESSIONS, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_sessions, self._clock = max_sessions, clock
        #: By sid: the newest generation written, and when (seconds of ``clock``).
        self._written: dict[str, tuple[int, float]] = {}
        self._rest_until = float("-inf")
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._written)

    def record(self, claims: AccessClaims) -> None:
        """Record a use as ``record_use`` does; a write is remembered once it has succeeded."""
        now, generation = self._clock(), claims.gen or 0
        known = self._written.get(claims.sid)
        interval = LAST_SEEN_INTERVAL.total_seconds()
        if known is not None and known[0] >= generation and now - known[1] < interval:
            return
        if now >= self._rest_until:
            database.after_commit(lambda: self._write(claims, generation, now))

    def _write(self, claims: AccessClaims, generation: int, now: float) -> None:
        try:
            _write(claims, timezone.now())
        except Exception:
            self._rest_until = now + REST_SECONDS
            raise
        with self._lock:
            known = self._written.pop(claims.sid, (0, now))  # to the end of the dict
            self._written[claims.sid] = max(known[0], generation), now
            while len(self._written) > self.max_sessions:
                del self._written[next(iter(self._written))]

    def clear(self) -> None:
        """Forget all uses; also called in a forked process, where the parent's lock may be held."""
        self._lock = Lock()
        self._written, self._rest_until = {}, float("-inf")


def _write(claims: AccessClaims, now: datetime) -> None:
    """Update the row in one conditional statement; neither last seen nor the counter ever goes back."""
    this = DeviceSession.objects.using(database.alias()).filter(pk=claims.sid, ended_at=None)
    pending = _pending(claims)
    confirmed = Case(
        When(pending, then=F("generation")), default=F("confirmed_generation"), output_field=_COUNTER
    )
    seen = Case(When(last_seen_at__lt=now, then=Value(now)), default=F("last_seen_at"))
    this.filter(pending | Q(last_seen_at__lt=now)).update(confirmed_generation=confirmed, last_seen_at=seen)


def _confirm(claims: AccessClaims) -> None:
    this = DeviceSession.objects.using(database.alias()).filter(pk=claims.sid, ended_at=None)
    this.filter(_pending(claims)).update(confirmed_generation=F("generation"))


def _pending(claims: AccessClaims) -> Q:
    """Return the condition under which the token confirms its generation; an exchanged one has none."""
    generation = claims.gen or 0  # which no session has
    return Q(generation=generation, confirmed_generation__lt=generation)


def _stay(session: DeviceSession, now: datetime) -> None:
    """Update the row in one conditional statement; neither of its times ever goes back."""
    this = DeviceSession.objects.using(database.alias()).filter(pk=session.pk, ended_at=None)
    idle = idle_expiry(now, conf.idle_period, session.expires_at)
    this.filter(last_seen_at__lt=now).update(last_seen_at=now, idle_expires_at=idle)


uses = Uses()
os.register_at_fork(after_in_child=uses.clear)
