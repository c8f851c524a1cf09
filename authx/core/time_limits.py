"""The two time limits of a session: idle, which each refresh moves, and absolute, which nothing moves."""

from __future__ import annotations

from datetime import datetime, timedelta

from authx.core.reasons import EndReason


def idle_expiry(now: datetime, idle: timedelta, expires_at: datetime) -> datetime:
    """Return the idle limit of a session used ``now``: never later than its absolute one."""
    return limit_at(now + idle, expires_at)


def limit_at(idle_expires_at: datetime, expires_at: datetime) -> datetime:
    """Return when a session ends if it is not refreshed: the earlier of its limits."""
    return min(idle_expires_at, expires_at)


def expiry_reason(idle_expires_at: datetime, expires_at: datetime, now: datetime) -> EndReason | None:
    """Return the limit that was reached first; None while neither has been."""
    if now < limit_at(idle_expires_at, expires_at):
        return None
    return EndReason.IDLE if idle_expires_at < expires_at else EndReason.EXPIRED
