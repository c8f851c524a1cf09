"""Totals of past hours, which ``authx_prune`` keeps: the overview of twelve weeks would count all rows anew.

They name nobody, and what is erased about a person changes none. They go when the sessions go that they
count, so that the overview and the list tell the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from authx.conf import conf
from authx.models import DeviceSession, HourTotals
from authx.sessions.turnover import Span, Turnover, count_spans, is_quiet
from authx.store import database
from authx.store.batches import delete_in_batches

HOUR: Final = timedelta(hours=1)
#: A session is stamped before its transaction commits, which takes an hour at most.
_SETTLED: Final = HOUR
#: No overview looks further back.
LONGEST: Final = timedelta(weeks=13)
#: So many hours are counted by one statement.
_AT_ONCE: Final = 24


@dataclass(frozen=True, slots=True)
class _Part:
    """A time that no total tells of by itself."""

    span: Span
    #: To what it belongs.
    of: Turnover
    #: To what the total of the hour that it is the end of has been added, if that hour began in another slot.
    off: Turnover | None = None


def count_hours(keep: timedelta, *, now: datetime | None = None) -> Iterator[int]:
    """Count each hour that is long over, and keep its totals; yield how many hours each time.

    Those from before ``keep`` are left out, as ``prune`` has deleted sessions of theirs.
    """
    at = now or database.database_now()
    hours = list(_uncounted(at - min(keep, LONGEST), at))
    for start in range(0, len(hours), _AT_ONCE):
        yield database.transact(partial(_count, hours[start : start + _AT_ONCE], at))


def prune_totals(keep: timedelta, batch: int, *, now: datetime | None = None) -> Iterator[int]:
    """Delete the totals of hours before ``keep``, or before what any overview shows."""
    before = (now or database.database_now()) - min(keep, LONGEST)
    return delete_in_batches(_rows().filter(since__lt=before), batch, by="since")


def turnover_of(slots: Sequence[Span], now: datetime) -> list[Turnover]:
    """Return how many sessions began and ended in each of these, which follow each other. Two statements.

    From the totals of the hours that lie within; the rest, such as what is new, is counted.
    """
    first = max(slots[0].since, now - conf.RETENTION)
    rows = HourTotals.objects.filter(since__gte=first, since__lt=slots[-1].until)
    counts = rows.values_list("since", "opened", "ended")
    kept = {since: Turnover(opened, ended) for since, opened, ended in counts}
    found, rest = [Turnover() for _ in slots], list[_Part]()
    shared: _Part | None = None
    for slot, turnover in zip(slots, found, strict=True):
        at = slot.since
        if shared is not None:
            at = shared.span.until
            rest.append(replace(shared, of=turnover))
        for hour in _hours(at, slot.until):
            if hour in kept:
                turnover.add(kept[hour])
                rest.append(_Part(Span(at, hour), turnover))
                at = hour + HOUR
        last = _hour_of(slot.until)
        if is_shared := at <= last < slot.until < slots[-1].until and last in kept:
            turnover.add(kept[last])
            rest.append(_Part(Span(at, last), turnover))
        else:
            rest.append(_Part(Span(at, slot.until), turnover))
        shared = _Part(Span(slot.until, last + HOUR), turnover, off=turnover) if is_shared else None
    _count_parts([part for part in rest if part.span.since < part.span.until], now)
    return found


def _count_parts(parts: Sequence[_Part], now: datetime) -> None:
    counted = count_spans(DeviceSession.objects.all(), [part.span for part in parts], now)
    for part, turnover in zip(parts, counted, strict=True):
        part.of.add(turnover)
        if part.off is not None:
            part.off.take_off(turnover)


def _uncounted(since: datetime, now: datetime) -> Iterator[datetime]:
    """Return each hour that is to be counted: after the last that was, or from the first session on."""
    last = _rows().order_by("-since").values_list("since", flat=True).first()
    if last is None:
        begun = DeviceSession.objects.using(database.alias()).order_by("created_at")
        first = begun.values_list("created_at", flat=True).first()
        begin = now if first is None else _hour_of(first)
    else:
        begin = last + HOUR
    return _hours(max(since, begin), now - _SETTLED)


def _hours(since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield where the full hours of UTC begin that lie within."""
    hour = _hour_of(since)
    hour += HOUR if hour < since else timedelta(0)
    while hour + HOUR <= until:
        yield hour
        hour += HOUR


def _hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _count(hours: Sequence[datetime], now: datetime) -> int:
    sessions = DeviceSession.objects.using(database.alias())
    if is_quiet(sessions, Span(hours[0], hours[-1] + HOUR), now):  # a short statement
        counted = [Turnover()] * len(hours)
    else:
        counted = count_spans(sessions, [Span(hour, hour + HOUR) for hour in hours], now)
    rows = [
        HourTotals(since=hour, opened=one.opened, ended=one.ended)
        for hour, one in zip(hours, counted, strict=True)
    ]
    _rows().bulk_create(rows, ignore_conflicts=True)  # another process may have been first
    return len(rows)


def _rows() -> Any:
    return HourTotals.objects.using(database.alias())
