"""The recent endings in Redis: one round trip a request, and never a false answer.

The database remains authoritative. The endings are valid while their lease is, which only a reading of the
database's log gives, and which ends ten seconds after that reading began. What else can happen to Redis, a
restart, an older snapshot, a lost write or line, a clock put back, costs the lease or is repaired by the next
reading.
"""

from __future__ import annotations

import json
import logging
import random
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

from authx import clocks, metrics
from authx.conf import conf
from authx.core.claims import DEFAULT_DATABASE
from authx.core.log_position import LogPosition
from authx.errors import StoreUnavailable
from authx.gate.breaker import Breaker
from authx.gate.revocation import redis_scripts as scripts
from authx.gate.revocation.redis_connection import Connections, connect, failures, is_late, key_name, text
from authx.gate.revocation.redis_feed import RedisFeed
from authx.gate.revocation.window import PAUSE_SECONDS, Endings, window

logger = logging.getLogger("authx")

#: Seconds. The lease is renewed when a third of it is over.
LEASE_SECONDS: Final = 10.0
#: Seconds that a reading of the log may take before another worker begins one.
LOCK_SECONDS: Final = 5.0
#: Seconds after which a worker that found no lease tries again to renew it.
RETRY_SECONDS: Final = 0.5
#: Part of the key: a release that writes another format has another hash.
FORMAT_VERSION: Final = 4
#: Endings in one command: it must fit into the time-out.
ENDINGS_PER_COMMAND: Final = 200


class RedisStore:
    """The endings of one database in one cache alias; one per process, shared by its threads."""

    def __init__(
        self,
        alias: str,
        log: Callable[..., Any],
        *,
        database: str = DEFAULT_DATABASE,
        clock: Callable[[], float] = clocks.monotonic,
        calendar: Callable[[], float] = clocks.time,
    ) -> None:
        """Connect to ``alias`` for the endings of ``database``, another alias, whose ``log`` is read.

        ``calendar`` returns seconds since the epoch, ``clock`` monotonic seconds.
        """
        self._client, self._failures = connect(alias), failures()
        self._connections = Connections(self._client)
        issuer = sha256(conf.ISSUER.encode()).hexdigest()[:12]
        of = "" if database == DEFAULT_DATABASE else f":{database}"
        self.key = key_name(alias, f"authx:endings:{FORMAT_VERSION}:{issuer}{of}")
        self._log, self._clock, self._calendar = log, clock, calendar
        self._reads, self._writes = Breaker(clock, name="redis_reads"), Breaker(clock, name="redis_writes")
        self._renew_at = self._rests_until = float("-inf")
        #: The lease seen last, and until when this process trusts it.
        self._lease: tuple[Any, float] = (None, float("inf"))
        #: True if that lease still holds in Redis, but has lasted too long by the clock of this process.
        self._doubts = False

    def entries(self, names: Iterable[str]) -> list[str | None]:
        """Return the entry under each of ``names``, as of the last reading of the log.

        Raises:
            StoreUnavailable: Redis does not answer, or no worker has read the log lately.
        """
        self.keep_lease()
        _lease, _fields, *found = self._leased(scripts.READ, *names)
        return [None if entry is None else text(entry) for entry in found]

    def publish(self, ended: Mapping[str, str]) -> None:
        """Add endings that have just been committed; one that does not arrive is read from the log later."""
        try:
            for pairs in _chunks(ended):
                self._publish(pairs)
        except StoreUnavailable:
            logger.warning(
                "%d endings were not published; they hold within %.0f s.",
                len(ended),
                LEASE_SECONDS,
                extra={"event": "endings_not_published"},
            )

    def _publish(self, pairs: list[str]) -> None:
        """Publish, with one retry: a time-out of 50 ms would cost seconds, until the log is read again."""
        was_well, seconds = self._writes.is_closed, int(self._calendar())
        try:
            self._script(scripts.PUBLISH, seconds, *pairs)
        except StoreUnavailable:
            if not was_well:
                raise
            self._writes.worked()  # so that the second try is allowed, which decides
            self._script(scripts.PUBLISH, seconds, *pairs)

    def since(self, epoch: str, number: int, line: str) -> Any:
        """Return the answer of ``SINCE``, without the lease.

        Raises:
            StoreUnavailable: as ``entries``.
        """
        self.keep_lease()
        _lease, *found = self._leased(scripts.SINCE, epoch, number, line, ENDINGS_PER_COMMAND)
        return found

    def _leased(self, script: str, *arguments: Any) -> Any:
        """Run a script that looks at the lease first, and return its answer.

        A process does not trust one lease for longer than a lease lasts: Redis's clock may stand still.
        """
        asked = (script, 1, self.key, _ms(LEASE_SECONDS), *arguments)
        found = self._command(self._reads, self._connections.run, *asked)
        now, lease = self._clock(), found[0] if found else None
        if lease is not None and lease != self._lease[0]:
            self._lease, self._doubts = (lease, now + LEASE_SECONDS), False
        if lease is None or now >= self._lease[1]:
            self._doubts = lease is not None
            self._renew_soon()
            raise StoreUnavailable("nobody has read the log of endings lately")
        return found

    def feed(self) -> RedisFeed:
        """Return the feed of a local copy."""
        return RedisFeed(self, self._log())

    def keep_lease(self) -> None:
        """Read the log and renew the lease, if that is due and no other worker does; never fails."""
        now = self._clock()
        if now < self._renew_at or now < self._rests_until or not self._writes.is_due:
            return
        self._renew_at = now + LEASE_SECONDS / 3 * random.uniform(0.9, 1.1)
        try:
            self._renew()
        except StoreUnavailable as error:
            logger.warning(
                "The lease on the endings in Redis was not renewed: %s.",
                error,
                extra={"event": "lease_not_renewed"},
            )

    def _renew_soon(self) -> None:
        self._renew_at = min(self._renew_at, self._clock() + RETRY_SECONDS)

    def _renew(self) -> None:
        owner, enough = secrets.token_hex(8), LEASE_SECONDS if self._doubts else LEASE_SECONDS * 2 / 3
        try:
            begun = self._script(
                scripts.BEGIN, owner, *map(_ms, (LOCK_SECONDS, 3 * LEASE_SECONDS, LEASE_SECONDS, enough))
            )
        except StoreUnavailable as error:
            if is_late(error.__cause__):  # the caller, which reads next, would wait as long once more
                self._reads.failed()
            raise
        if not begun:
            return
        at, upto = int(begun[0]), begun[1]
        found: Endings = self._log(_position(upto)).read()
        if found.too_many:
            self._rests_until = self._clock() + PAUSE_SECONDS
            raise StoreUnavailable("there are too many endings to keep in Redis")
        seconds = int(self._calendar())
        for pairs in _chunks(found.ended):
            self._script(scripts.ADD, owner, seconds, *pairs)
        oldest = min(at // 1000, seconds) - int(window().total_seconds())
        position = json.dumps(found.position.as_json())
        self._script(scripts.FINISH, owner, position, at + _ms(LEASE_SECONDS), oldest)

    def _script(self, script: str, *arguments: Any) -> Any:
        return self._command(
            self._writes, self._client.execute_command, "EVAL", script, 1, self.key, *arguments
        )

    def _command(self, breaker: Breaker, execute: Callable[..., Any], *words: Any) -> Any:
        if not breaker.allows():
            raise StoreUnavailable("Redis has failed a moment ago")
        try:
            found = execute(*words)
        except self._failures as error:
            if breaker.is_closed:
                logger.warning(
                    "Redis failed; the database answers meanwhile: %s",
                    type(error).__name__,
                    extra={"event": "redis_failed"},
                )
            breaker.failed()
            metrics.STORE_FAILURES.count(store="redis")
            raise StoreUnavailable("Redis does not answer") from error
        breaker.worked()
        return found


def _position(upto: Any) -> LogPosition | None:
    try:
        return LogPosition.from_json(json.loads(text(upto) or "null"))
    except (ValueError, RecursionError):
        return None  # not there yet, or not ours: read the whole window again


def _chunks(ended: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield ``name, entry, name, entry ...``, ENDINGS_PER_COMMAND entries at a time."""
    items = list(ended.items())
    for start in range(0, len(items), ENDINGS_PER_COMMAND):
        yield [word for item in items[start : start + ENDINGS_PER_COMMAND] for word in item]


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
