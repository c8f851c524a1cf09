"""The revocation log: written with each ending, read in pieces by every process that keeps a copy.

``authx.core.revocation_log`` describes its entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone

from authx import clocks
from authx.core import revocation_log
from authx.core.log_position import Gap, LogPosition
from authx.core.reasons import EXPIRIES
from authx.gate.revocation import sources
from authx.gate.revocation.window import MAX_ENDINGS, Endings, window
from authx.models import RevocationLogEntry
from authx.store import database
from authx.store.batches import delete_in_batches

#: The number of an entry, a text that no other entry has, its subject key and its value.
_Line = tuple[int, str, str, str]


def write(keys: Sequence[UUID], reason: str) -> None:
    """Append endings made in this transaction, and publish them after its commit."""
    if reason in EXPIRIES:
        return
    _append({str(key): reason for key in keys})


def write_mark(subject: str, number: int, reason: str, kept: str = "") -> None:
    """Append a mark on the sessions of ``subject``, everybody's if it is empty; publish as ``write`` does.

    ``kept`` is the ``sid`` of the one session that it does not end.
    """
    _append({revocation_log.name_of_subject(subject): revocation_log.mark(number, reason, kept)})


def write_withdrawal(kid: str) -> None:
    """Append that a signing key was withdrawn; publish it as ``write`` does."""
    _append({revocation_log.name_of_key(kid): ""})


def _append(entries: dict[str, str]) -> None:
    now = timezone.now()
    _log().bulk_create(
        [RevocationLogEntry(subject_key=key, value=value, at=now) for key, value in entries.items()]
    )
    database.after_commit(lambda: sources.publish(entries))


def _log() -> models.QuerySet[RevocationLogEntry]:
    return RevocationLogEntry.objects.using(database.alias())


class EndedLog:
    """A reader of the log of one database, which goes on where its last reading ended."""

    def __init__(
        self,
        position: LogPosition | None = None,
        *,
        using: str | None = None,
        limit: int = MAX_ENDINGS + 1,
        clock: Callable[[], float] = clocks.time,
    ) -> None:
        """Read the log of the database with the alias ``using``, the current one unless given."""
        self.position, self._limit, self._clock = position, limit, clock
        self._alias = using or database.alias()

    def read(self) -> Endings:
        """Return the endings committed since the last reading; all that matter, if there was none.

        One statement, two if numbers are missing, on a connection that sees what is committed now.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        with database.store_errors(), database.pinned(self._alias):
            return database.outside_transactions(self._read)

    def _read(self) -> Endings:
        log = _log().order_by("id")
        return self._read_on(log) or self._read_whole(log)

    def begin_again(self) -> None:
        """Make the next reading a complete one."""
        self.position = None

    def _read_on(self, log: models.QuerySet[RevocationLogEntry]) -> Endings | None:
        """Read on from the position; None if there is none, or the log is another one: restored, pruned."""
        before = self.position
        if before is None:
            return None
        late = _lines(log.filter(_in(before.gaps))) if before.gaps else []
        # Two beyond the limit: one shows whether there are more, and one is the last that was read before.
        rows = _lines(log.filter(id__gte=before.last)[: self._limit + 2])
        if before.last and (not rows or rows.pop(0)[:2] != (before.last, before.mark)):
            return None
        return self._taken(before, late, rows, whole=False)

    def _read_whole(self, log: models.QuerySet[RevocationLogEntry]) -> Endings:
        start = timezone.now() - window()
        older = _lines(log.filter(at__lte=start).order_by("-at", "-id")[:1])
        floor, mark = older[0][:2] if older else (0, "")
        rows = _lines(log.filter(id__gt=floor, at__gt=start)[: self._limit + 1])
        return self._taken(LogPosition(floor, mark), [], rows, whole=True)

    def _taken(self, before: LogPosition, late: list[_Line], rows: list[_Line], *, whole: bool) -> Endings:
        more = len(rows) > self._limit
        rows = late + rows[: self._limit]
        self.position = before.advanced((row[:2] for row in rows), self._clock())
        ended = revocation_log.merge_entries(row[2:] for row in rows)
        return Endings(ended, self.position, whole, more)


def _lines(log: models.QuerySet[RevocationLogEntry]) -> list[_Line]:
    """Return the entries of ``log`` as lines, each marked with its name and time.

    After a restore the same session may end again under the same number, but not at the same time.
    """
    found = log.values_list("id", "at", "subject_key", "value")
    return [(number, f"{name} {at.timestamp():.6f}", name, value) for number, at, name, value in found]


def _in(gaps: Sequence[Gap]) -> Q:
    single = [gap.first for gap in gaps if gap.first == gap.last]
    found = Q(id__in=single)
    for gap in gaps:
        if gap.first != gap.last:
            found |= Q(id__range=(gap.first, gap.last))
    return found


def prune(batch: int, *, now: datetime | None = None) -> Iterator[int]:
    """Delete entries that no copy needs any more; yield how many each time."""
    old = _log().filter(at__lt=(now or timezone.now()) - 2 * window())
    return delete_in_batches(old, batch, by="at")
