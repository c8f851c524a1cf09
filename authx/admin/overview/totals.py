"""How many sessions began and ended, and how many are live: kept for minutes; what is past, for a day."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.cache import cache

from authx import metrics
from authx.admin.overview.counting import count_alarmed, count_live, count_slots
from authx.admin.overview.periods import Slot
from authx.conf import conf
from authx.store import database

logger = logging.getLogger("authx")

KEPT: Final = timedelta(minutes=5)
#: Of a slot that was over so long ago, hardly anything changes: it is kept for longer than ``KEPT_PAST``.
SETTLED: Final = timedelta(hours=1)
KEPT_PAST: Final = timedelta(days=1)
#: Each slot is kept for so much longer than the one before it: they are not all counted anew at once.
_APART: Final = timedelta(hours=1)


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
        found: dict[str, int] = {}
        for one in self.ended:
            for reason, number in one.items():
                found[reason] = found.get(reason, 0) + number
        return found


def totals_of(slots: Sequence[Slot], now: datetime) -> Totals:
    """Return the totals of these slots, at most ``KEPT`` old; three statements if they have to be counted.

    Of slots that are past, ``KEPT_PAST`` old and some hours more: then those are counted that are not kept.
    """
    whole = key_of(slots)
    kept = _kept([whole, *map(_key, slots)])
    if kept is None:  # and to write to a cache that is down costs time as well
        return _count(slots, now, {})[0]
    if whole in kept:
        return Totals(**kept[whole])
    found, counted = _count(slots, now, kept)
    values: dict[str, tuple[Any, timedelta]] = {whole: (asdict(found), KEPT)}
    for number, slot in enumerate(slots):
        if _key(slot) in counted:
            values[_key(slot)] = counted[_key(slot)], _time_of(slot, number, now)
    _keep(values)
    return found


def _count(slots: Sequence[Slot], now: datetime, kept: Mapping[str, Any]) -> tuple[Totals, dict[str, Any]]:
    """Return the totals, and of each slot that is not kept, by its key, what has been counted."""
    missing = [slot for slot in slots if _key(slot) not in kept]
    counted = dict(zip(map(_key, missing), count_slots(missing, now), strict=True))
    opened, ended = zip(*({**kept, **counted}[_key(slot)] for slot in slots), strict=True)
    live, users = count_live(now)
    found = Totals(
        as_of=now.timestamp(),
        opened=[max(0, number) for number in opened],
        ended=list(ended),
        live=live,
        users=users,
        alarmed=count_alarmed(slots[0].since, now),
    )
    return found, counted


def key_of(slots: Sequence[Slot]) -> str:
    """Return where the totals of these slots are kept in the cache."""
    begin, end = (f"{edge.timestamp():.0f}" for edge in (slots[0].since, slots[-1].until))
    return f"authx:overview:{database.alias()}:{begin}:{end}"


def _key(slot: Slot) -> str:
    return f"{key_of([slot])}:past"


def _time_of(slot: Slot, number: int, now: datetime) -> timedelta:
    """Return how long a slot is kept: not at all before it is settled, or once its sessions are forgotten."""
    if slot.until + SETTLED > now:
        return timedelta(0)
    return min(KEPT_PAST + number * _APART, slot.since + conf.RETENTION - now)


def _kept(keys: Sequence[str]) -> dict[str, Any] | None:
    """Return what is kept of these; None if the cache is down."""
    try:
        return dict(cache.get_many(keys))
    except Exception:  # each cache backend has its own errors
        _report_failure()
        return None


def _keep(values: dict[str, tuple[Any, timedelta]]) -> None:
    try:
        for key, (value, time) in values.items():
            if time > timedelta(0):
                cache.set(key, value, timeout=time.total_seconds())
    except Exception:
        _report_failure()


def _report_failure() -> None:
    metrics.STORE_FAILURES.count(store="cache")
    logger.exception("The cache is down: totals are counted anew.", extra={"event": "cache_failed"})
