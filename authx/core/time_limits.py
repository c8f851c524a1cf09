"""The two time limits of a session: idle, which each refresh moves, and absolute, which nothing moves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from authx.core.reasons import EndReason

#: A hundred years: two of them and today are still a date, which ``timedelta.max`` for "never" is not.
LONGEST_LIFE: Final = timedelta(days=36_500)


def idle_period(idle_lifetime: timedelta, access_lifetime: timedelta) -> timedelta:
    """Return how long after its last refresh a session is idle.

    Its access token is used for its whole life, and no row shows it: only one life later is it certain that
    nobody has used the session for ``idle_lifetime``.
    """
    return idle_lifetime + access_lifetime


def idle_expiry(now: datetime, period: timedelta, expires_at: datetime) -> datetime:
    """Return the idle limit of a session refreshed ``now``: never later than its absolute one.

    ``period`` is its ``idle_period``.
    """
    return limit_at(now + period, expires_at)


def limit_at(idle_expires_at: datetime, expires_at: datetime) -> datetime:
    """Return when a session ends if it is not refreshed: the earlier of its limits."""
    return min(idle_expires_at, expires_at)


def expiry_reason(idle_expires_at: datetime, expires_at: datetime, now: datetime) -> EndReason | None:
    """Return the limit that was reached first; None while neither has been."""
    if now < limit_at(idle_expires_at, expires_at):
        return None
    return EndReason.IDLE if idle_expires_at < expires_at else EndReason.EXPIRED
