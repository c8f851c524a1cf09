"""What must not happen too often: refreshes of one session, and saying the same twice."""

from __future__ import annotations

import logging

from django.core.cache import cache

from authx.conf import conf
from authx.http.counters import count

logger = logging.getLogger("authx")


def refresh_wait(sid: str, *, now: float | None = None) -> int:
    """Seconds until this session may refresh again; 0: now. Counts the try."""
    return count("refresh", sid, conf.REFRESH_RATE, now=now).wait


def is_first(purpose: str, subject: str, period: int) -> bool:
    """True once per ``period`` seconds: for what should be said once, however often it happens."""
    try:
        return bool(cache.add(f"authx:said:{purpose}:{subject}", 1, timeout=period))
    except Exception:  # each cache backend has its own errors
        logger.exception("The cache is down: what was said already is not known.")
        return False
