"""The log of endings: written with each, read in pieces by whoever keeps a copy.

What its lines say is told in ``authx.core.revocation_log``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone

from authx.core import revocation_log
from authx.core.log_position import Gap, LogPosition
from authx.gate.revocation import sources
from authx.gate.revocation.window import MAX_ENDINGS, Endings, window
from authx.models import EndedSession, EndReason
from authx.store import database

#: No token outlives these: its exp never passes the limits of its session.
_NOBODY_ASKS = {EndReason.IDLE.value, EndReason.EXPIRED.value}


#: Its number, a mark that no other line has, its name and what is told under it.
_Line = tuple[int, str, str, str]


def write(keys: Sequence[UUID], reason: str) -> None:
    """Append endings made in this transaction, and publish them after its commit."""
    if reason in _NOBODY_ASKS:
        return
    _append({str(key): reason for key in keys})


def write_mark(subject: str, number: int, reason: str) -> None:
    """Append a mark on the sessions of ``subject``, of everybody if that is empty; published alike."""
    _append({revocation_log.name_of_subject(subject): revocation_log.mark(number, reason)})


def write_withdrawal(kid: str) -> None:
    """Append that a signing key was withdrawn; published alike."""
    _append({revocation_log.name_of_key(kid): ""})


def _append(entries: dict[str, str]) -> None:
    now = timezone.now()
    _log().bulk_create([EndedSession(name=name, told=told, at=now) for name, told in entries.items()])
    database.after_commit(lambda: sources.publish(entries))


def _log() -> models.QuerySet[EndedSession]:
    return EndedSession.objects.using(database.alias())


class EndedLog:
    """Reads the log from where the last reading ended."""

    def __init__(
        self,
        position: LogPosition | None = None,
        *,
        limit: int = MAX_ENDINGS + 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.position, self._limit, self._clock = position, limit, clock

    def read(self) -> Endings:
        """The endings committed since the last reading; all that matter, where there was none.

        One statement, two where numbers are missing, on a connection that sees what is committed now.

        Raises:
            StoreUnavailable: the database cannot be asked.
        """
        with database.store_errors():
            return database.outside_transactions(self._read)

    def _read(self) -> Endings:
        log = _log().order_by("id")
        return self._read_on(log) or self._read_whole(log)

    def begin_again(self) -> None:
        """Let the next reading be a whole one."""
        self.position = None

    def _read_on(self, log: models.QuerySet[EndedSession]) -> Endings | None:
        """None if there is nothing to go on from, or the log is another one: restored, pruned."""
        before = self.position
        if before is None:
            return None
        late = _lines(log.filter(_in(before.gaps))) if before.gaps else []
        # One more than the limit tells whether there are more, and one is the last we know.
        rows = _lines(log.filter(id__gte=before.last)[: self._limit + 2])
        if before.last and (not rows or rows.pop(0)[:2] != (before.last, before.mark)):
            return None
        return self._taken(before, late, rows, whole=False)

    def _read_whole(self, log: models.QuerySet[EndedSession]) -> Endings:
        start = timezone.now() - window()
        older = _lines(log.filter(at__lte=start).order_by("-at", "-id")[:1])
        floor, mark = older[0][:2] if older else (0, "")
        rows = _lines(log.filter(id__gt=floor, at__gt=start)[: self._limit + 1])
        return self._taken(LogPosition(floor, mark), [], rows, whole=True)

    def _taken(self, before: LogPosition, late: list[_Line], rows: list[_Line], *, whole: bool) -> Endings:
        more = len(rows) > self._limit
        rows = late + rows[: self._limit]
        self.position = before.advanced((row[:2] for row in rows), self._clock())
        ended = revocation_log.merged(row[2:] for row in rows)
        return Endings(ended, self.position, whole, more)


def _lines(log: models.QuerySet[EndedSession]) -> list[_Line]:
    """After a restore the same session may end again under the same number, but not at the same time."""
    found = log.values_list("id", "at", "name", "told")
    return [(number, f"{name} {at.timestamp():.6f}", name, told) for number, at, name, told in found]


def _in(gaps: Sequence[Gap]) -> Q:
    single = [gap.first for gap in gaps if gap.first == gap.last]
    found = Q(id__in=single)
    for gap in gaps:
        if gap.first != gap.last:
            found |= Q(id__range=(gap.first, gap.last))
    return found


def prune(batch: int, *, now: datetime | None = None) -> Iterator[int]:
    """Delete what no copy asks for any more; yields how many lines each time."""
    log = _log()
    old = log.filter(at__lt=(now or timezone.now()) - 2 * window())
    while keys := list(old.order_by("at").values_list("pk", flat=True)[:batch]):
        yield database.transact(lambda: log.filter(pk__in=keys).delete()[0])
