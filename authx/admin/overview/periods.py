"""The hours, days or weeks that a chart shows, in the time zone and the calendar of whoever looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

from django.utils import timezone
from django.utils.formats import date_format, get_format
from django.utils.translation import pgettext

from authx.sessions.turnover import Span


class Per(StrEnum):
    """What one bar of the chart stands for."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


#: How many of them a chart shows. Twelve weeks are what AUTHX_RETENTION keeps by default.
NUMBERS: Final = {Per.HOUR: 24, Per.DAY: 30, Per.WEEK: 12}


@dataclass(frozen=True, slots=True)
class Slot(Span):
    """One hour, day or week; its edges are in UTC."""

    #: As a table names it, and as an axis does.
    name: str
    short: str


def slots_until(now: datetime, per: Per) -> list[Slot]:
    """Return the slots of a chart, oldest first; ``now`` is in the last one.

    In the current time zone: a day has 23, 24 or 25 hours, and an hour that comes twice is there twice.
    """
    edges = sorted(_edges(now, per))
    local = {edge: timezone.localtime(edge) for edge in edges}
    clocks = Counter(one.replace(tzinfo=None) for one in local.values())
    return [
        Slot(
            since,
            until,
            _name(local[since], per, is_twice=clocks[local[since].replace(tzinfo=None)] > 1),
            _short(local[since], per),
        )
        for since, until in pairwise(edges)
    ]


def _edges(now: datetime, per: Per) -> Iterator[datetime]:
    """Yield where the slots begin, in UTC, latest first; before them the end of the last one."""
    local = timezone.localtime(now)
    if per is Per.HOUR:  # by real hours, whatever clocks do in between
        hour = timedelta(hours=1)
        begin = local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
        begin += (now - begin) // hour * hour  # where clocks have changed since the last full hour
        yield from (begin - number * hour for number in range(-1, NUMBERS[per]))
        return
    step = timedelta(days=1 if per is Per.DAY else 7)
    first = local.date() if per is Per.DAY else _first_of_week(local.date())
    yield from (_midnight(first - number * step) for number in range(-1, NUMBERS[per]))


def _first_of_week(day: date) -> date:
    begins: Any = get_format("FIRST_DAY_OF_WEEK")  # 0 is Sunday
    return day - timedelta(days=(day.isoweekday() - int(begins)) % 7)


def _midnight(day: date) -> datetime:
    """Return the first moment of a day, in UTC; where midnight is skipped, the day begins later."""
    return datetime.combine(day, time.min, timezone.get_current_timezone()).astimezone(UTC)


def _name(since: datetime, per: Per, *, is_twice: bool) -> str:
    day = date_format(since, "MONTH_DAY_FORMAT")
    if per is Per.HOUR:
        zone = f" {since.tzname()}" if is_twice else ""
        return f"{day} {since:%H:%M}{zone}"
    return day


def _short(since: datetime, per: Per) -> str:
    if per is Per.HOUR:
        return f"{since:%H:%M}" if since.minute else f"{since:%H}"
    # Translators: month and day on the axis of a chart, in the format characters of Django's date filter.
    return date_format(since, pgettext("short month and day", "M j"))
