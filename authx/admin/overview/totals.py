"""How many sessions began and ended, and how many are live: kept in the cache for some minutes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.cache import cache

from authx import metrics
from authx.admin.overview.counting import count_alarmed, count_live
from authx.admin.overview.periods import Slot
from authx.sessions.hour_totals import turnover_of
from authx.sessions.turnover import Turnover
from authx.store import database

logger = logging.getLogger("authx")

KEPT: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Totals:
    """What has been counted, in numbers and texts alone, as every cache can keep them."""

    #: When, in seconds since 1970.
    as_of: float
    #: Sign-ins of each slot.
    opened: list[int]
    #: Ended sessions of each slot, by reason.
    ended: list[dict[str, int]]
    #: Live sessions by device type, and how many users have one.
    live: dict[str, int] = field(default_factory=dict)
    users: int = 0
    #: Sessions with an alarm since the first slot, by the reason of their end; ``""`` for live ones.
    alarmed: dict[str, int] = field(default_factory=dict)

    @property
    def reasons(self) -> dict[str, int]:
        """Return how many sessions ended for each reason."""
        found = Turnover()
        for one in self.ended:
            found.add(Turnover(0, one))
        return found.ended


def totals_of(slots: Sequence[Slot], now: datetime) -> Totals:
    """Return the totals of these slots, at most ``KEPT`` old; four statements if they have to be counted."""
    key = key_of(slots)
    if (kept := _kept(key)) is not None:
        return Totals(**kept)
    turnover = turnover_of(slots, now)
    live, users = count_live(now)
    found = Totals(
        as_of=now.timestamp(),
        opened=[max(0, one.opened) for one in turnover],
        ended=[one.ended for one in turnover],
        live=live,
        users=users,
        alarmed=count_alarmed(slots[0].since, now),
    )
    _keep(key, asdict(found))
    return found


def key_of(slots: Sequence[Slot]) -> str:
    """Return where the totals of these slots are kept in the cache."""
    begin, end = (f"{edge.timestamp():.0f}" for edge in (slots[0].since, slots[-1].until))
    return f"authx:overview:{database.alias()}:{begin}:{end}"


def _kept(key: str) -> Any:
    try:
        return cache.get(key)
    except Exception:  # each cache backend has its own errors
        _report_failure()
        return None


def _keep(key: str, value: Any) -> None:
    try:
        cache.set(key, value, timeout=KEPT.total_seconds())
    except Exception:
        _report_failure()


def _report_failure() -> None:
    metrics.STORE_FAILURES.count(store="cache")
    logger.exception("The cache is down: totals are counted anew.", extra={"event": "cache_failed"})
