"""Counters in Django's default cache: how often something may happen in a period.

The first try begins a period, and the first one after its end begins another: a client that waits as asked is
let in. A try is counted before it is made, and the count is given back if the try was good: of many at once,
no more than the limit get through. Each database has counts of its own: two tenants may each have a user 7.
"""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass

from django.core.cache import cache

from authx import clocks, metrics
from authx.conf import conf
from authx.core.claims import DEFAULT_DATABASE
from authx.core.rates import Rate
from authx.store import database

logger = logging.getLogger("authx")


@dataclass(frozen=True, slots=True)
class Count:
    """One try that was counted, or refused."""

    #: Seconds until another may follow; 0 where this one was within the limit.
    wait: int = 0
    _key: str = ""

    @property
    def is_within(self) -> bool:
        """Return whether the try was counted and within the limit; False if the cache could not count it."""
        return bool(self._key) and not self.wait

    def give_back(self) -> None:
        """Undo the counting of this try."""
        if not self._key:
            return
        try:
            cache.decr(self._key)
        except ValueError:  # its period is over
            pass
        except Exception:  # each cache backend has its own errors
            metrics.STORE_FAILURES.count(store="cache")
            logger.exception("The cache is down: a try was not given back.", extra={"event": "cache_failed"})


def count(purpose: str, subject: str, rate: Rate | None, *, now: float | None = None) -> Count:
    """Count one try of ``subject``; one beyond the limit has to wait and is not counted.

    ``rate`` None is no limit; ``now`` is in seconds since 1970. A cache that is down locks nobody out.
    """
    if rate is None:
        return Count()
    now = clocks.time() if now is None else now
    # The cache holds no name and no address.
    digest = hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()
    stem = _key("count", purpose, digest)
    now_ms = int(now * 1000)
    try:
        since = _since(stem, now_ms, rate.period)
        this = Count(0, f"{stem}:{since}")
        tries = _increment(this._key, rate.period)
    except Exception:  # each cache backend has its own errors
        metrics.STORE_FAILURES.count(store="cache")
        logger.exception(
            "The cache is down: logins and refreshes are not limited.", extra={"event": "cache_failed"}
        )
        return Count()
    if not tries:
        return Count()
    if tries <= rate.limit:
        return this
    this.give_back()
    return Count(math.ceil((since - now_ms) / 1000 + rate.period))


def _key(kind: str, purpose: str, subject: str) -> str:
    alias = database.alias()
    of = "" if alias == DEFAULT_DATABASE else f"{alias}:"
    return f"authx:{kind}:{of}{purpose}:{subject}"


def _since(stem: str, now: int, period: int) -> int:
    """Return when the running period of so many seconds began; ``now`` if there was none.

    Both are in milliseconds since 1970.
    """
    since = cache.get(stem)
    if since is None:
        begins = cache.add(stem, now, timeout=period)  # of many at once, one succeeds
        since = now if begins else _begun(stem) or now
    if abs(now - since) >= period * 1000:  # by a clock that does not agree with the cache's
        cache.set(stem, now, timeout=period)
        since = now
    return int(since)


def _begun(stem: str) -> int | None:
    """Return the period's start from the primary, as a replica may lag behind; None if the period is over."""
    try:
        return cache.incr(stem, 0)  # None too from a cache that hides its errors
    except ValueError:
        return None


def _increment(key: str, period: int) -> int:
    """Count a try and return all of the period, this one included; 0 from a cache that has kept nothing."""
    cache.add(key, 0, timeout=2 * period)
    try:
        return cache.incr(key) or 0  # None from a cache that hides its errors
    except ValueError:  # evicted between the two calls
        return 0


def refresh_wait(sid: str, *, now: float | None = None) -> int:
    """Count a refresh of this session, and return the seconds until it may refresh; 0: now."""
    return count("refresh", sid, conf.REFRESH_RATE, now=now).wait


def is_first(purpose: str, subject: str, period: int) -> bool:
    """Return True once per ``period`` seconds: for what should be reported once, however often it happens."""
    try:
        return bool(cache.add(_key("reported", purpose, subject), 1, timeout=period))
    except Exception:  # each cache backend has its own errors
        metrics.STORE_FAILURES.count(store="cache")
        logger.exception(
            "The cache is down: what was reported already is not known.", extra={"event": "cache_failed"}
        )
        return False
