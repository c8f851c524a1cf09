"""``auth_time``: when the user last authenticated (RFC 9068 §2.2.1), and whether that was recently."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

#: For a session that was opened without knowing it: the claim is 0, and it never counts as recent.
AUTH_TIME_UNKNOWN: Final = datetime(1970, 1, 1, tzinfo=UTC)


def as_claim(auth_time: datetime) -> int:
    """Return the claim for an aware datetime: whole seconds, UTC; 0 where it is unknown."""
    return max(0, int(auth_time.timestamp()))


def is_known(auth_time: float) -> bool:
    """Return whether the time is known: its claim, in seconds, would not be 0."""
    return auth_time >= 1


def is_within(max_age: timedelta, auth_time: float, now: float) -> bool:
    """Return whether the time is known and no more than ``max_age`` ago, however long that is.

    Both times are seconds, UTC. Plain numbers are compared: no ``max_age`` and no claim overflows them.
    """
    return is_known(auth_time) and now - auth_time <= max_age.total_seconds()
