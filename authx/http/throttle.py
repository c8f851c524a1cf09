"""Fixed-window counters in Django's default cache: how often somebody may try."""

from __future__ import annotations

import hashlib
import logging
import time
import unicodedata

from django.core.cache import cache
from django.http import HttpRequest

from authx.conf import conf
from authx.conf.rules import parse_rate
from authx.http.client import client_network

logger = logging.getLogger("authx")

#: Characters of a user name that count; longer ones are nobody's.
LONGEST_NAME = 254


def login_wait(request: HttpRequest, username: str, *, now: float | None = None) -> int:
    """Seconds until this account, or this address, may try to log in again; 0: now. Counts the try.

    A success clears no counter (P4). Case and Unicode spelling of the name make no difference.
    """
    # Cut first: normalizing megabytes of what a stranger sent would be a gift to them.
    account = unicodedata.normalize("NFKC", username[:LONGEST_NAME]).casefold()
    waits = [_wait("login-account", account, conf.LOGIN_RATE, now)]
    if network := client_network(request):
        waits.append(_wait("login-address", network, conf.LOGIN_RATE, now))
    return max(waits)


def refresh_wait(sid: str, *, now: float | None = None) -> int:
    """Seconds until this session may refresh again; 0: now. Counts the try."""
    return _wait("refresh", sid, conf.REFRESH_RATE, now)


def is_first(purpose: str, subject: str, period: int) -> bool:
    """True once per ``period`` seconds: for what should be said once, however often it happens."""
    try:
        return bool(cache.add(f"authx:said:{purpose}:{subject}", 1, timeout=period))
    except Exception:  # each cache backend has its own errors
        logger.exception("The cache is down: what was said already is not known.")
        return False


def _wait(purpose: str, subject: str, rate: str | None, now: float | None) -> int:
    if rate is None:
        return 0
    limit, period = parse_rate(rate)
    now = time.time() if now is None else now
    window = int(now // period)
    digest = hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()
    key = f"authx:throttle:{purpose}:{digest}:{window}"
    return int((window + 1) * period - now) + 1 if _count(key, period) > limit else 0


def _count(key: str, period: int) -> int:
    """How often this window was counted; 0 if the cache is down, which locks nobody out."""
    try:
        cache.add(key, 0, timeout=period + 1)
        return cache.incr(key) or 0  # None from a cache that hides its errors
    except ValueError:  # evicted between the two calls
        return 1
    except Exception:  # each cache backend has its own errors
        logger.exception("The cache is down: logins and refreshes are not throttled.")
        return 0
