"""What must not happen too often: refreshes of one session, and repeated warnings."""

from __future__ import annotations

import logging

from django.core.cache import cache

from authx.conf import conf
from authx.http.counters import count

logger = logging.getLogger("authx")


def refresh_wait(sid: str, *, now: float | None = None) -> int:
    """Count a refresh of this session, and return the seconds until it may refresh; 0: now."""
    return count("refresh", sid, conf.REFRESH_RATE, now=now).wait


def is_first(purpose: str, subject: str, period: int) -> bool:
    """Return True once per ``period`` seconds: for what should be reported once, however often it happens."""
    try:
        return bool(cache.add(f"authx:said:{purpose}:{subject}", 1, timeout=period))
    except Exception:  # each cache backend has its own errors
        logger.exception("The cache is down: what was said already is not known.")
        return False
