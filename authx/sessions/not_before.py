"""Not-before marks: each ends all sessions that one user, or everybody, opened before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import models
from django.db.models import Max, Subquery
from django.utils import timezone

from authx.core.actor import Actor
from authx.core.device import clean_text
from authx.core.reasons import EndReason
from authx.core.revocation_log import EVERYBODY
from authx.core.time_limits import expiry_reason
from authx.gate.revocation.window import window
from authx.models import DeviceSession, DeviceSessionQuerySet, NotBeforeMark
from authx.models.exactly import Octets, is_exactly
from authx.sessions.ending import Ending, end_together
from authx.store import database, revocation_log
from authx.store.compiled import CompiledValues
from authx.store.database import DatabaseNow

#: The number of a row that is no mark: writers of marks update it first, so that they wait for each other.
_LOCK_NUMBER = 0


def write_mark(subject: str, ending: Ending, keep: DeviceSession | None = None) -> NotBeforeMark:
    """Write a mark on the sessions of ``subject`` but ``keep``.

    Marks commit in the order of their numbers: a session was opened after all marks up to its number.
    """
    _lock_marks(ending.at)
    number = _next_number(subject)
    kept = "" if keep is None else _lift(keep, subject, number, ending.at)
    revocation_log.write_mark(subject, number, ending.reason.value, kept)
    mark = NotBeforeMark(
        number=number,
        subject=subject,
        reason=ending.reason.value,
        at=ending.at,
        by=ending.actor.user,
        note=clean_text(ending.note, 255),
    )
    mark.save(using=database.alias(), force_insert=True)
    return mark


def _lift(keep: DeviceSession, subject: str, number: int, at: datetime) -> str:
    """Let a session, or the live one that continues it, count as opened after mark ``number``.

    Returns its id; ``""`` if it is over or another subject's. Its tokens still carry the number from before:
    the mark's entry in the log names it for them.
    """
    of_subject, live = _of(subject), _of(subject).live(at)
    found: UUID | None = keep.pk
    while found is not None and not live.filter(pk=found).update(not_before_number=number):
        line = of_subject.filter(pk=found).exclude(successor=found)
        found = line.select_for_update().values_list("successor", flat=True).first()
    return "" if found is None else str(found)


def _lock_marks(at: datetime) -> None:
    """Make writers of marks wait for each other until the transaction ends, by an UPDATE as ``lock_user``."""
    turn = NotBeforeMark(number=_LOCK_NUMBER, reason="", at=at)
    if not _rows().filter(number=_LOCK_NUMBER).update(at=at):
        _rows().bulk_create([turn], ignore_conflicts=True)
        _rows().filter(number=_LOCK_NUMBER).update(at=at)


def _next_number(subject: str) -> int:
    """Return a number above the newest mark's and the sessions' to end: the table may have been lost."""
    newest = _rows().select_for_update().order_by("-number").first()  # the latest, not the snapshot's
    opened = _of(subject).aggregate(newest=Max("not_before_number"))
    return max(newest.number if newest else _LOCK_NUMBER, opened["newest"] or 0) + 1


def catch_up(batch: int) -> Iterator[int]:
    """Update the rows of sessions that a mark has ended, ``batch`` at a time; yield how many each time.

    The oldest mark first: it is the one that ended them.
    """
    for mark in list(_marks().order_by("number")):
        ending = Ending(EndReason(mark.reason), mark.at, Actor(mark.by), mark.note)
        yield from catch_up_with(mark, ending, batch)


def catch_up_with(mark: NotBeforeMark, ending: Ending, batch: int) -> Iterator[int]:
    """Update the rows of sessions that were live at the mark.

    For a mark on everybody the revocation log holds the mark alone, and no entry for each session.
    """
    hit = _of(mark.subject).filter(
        ended_at=None, not_before_number__lt=mark.number, idle_expires_at__gt=mark.at, expires_at__gt=mark.at
    )
    yield from end_together(hit, ending, batch, logged=mark.subject != EVERYBODY)


def prune_marks(*, now: datetime | None = None) -> int:
    """Delete marks so old that no token or login from before them is left; return how many.

    The rows of their sessions must have been updated. The newest mark stays, so that numbers never go back,
    but loses its note when it is as old.
    """
    before = (now or timezone.now()) - 2 * window()
    newest = _marks().order_by("-number").values_list("number", flat=True).first() or _LOCK_NUMBER
    old = _marks().filter(at__lt=before)

    def write() -> int:
        deleted = int(old.filter(number__lt=newest).delete()[0])
        old.exclude(note="").update(note="")
        return deleted

    return database.transact(write)


def opening_moment() -> tuple[datetime, int]:
    """Return the database's clock and the number of the newest mark, for a new session. One statement.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with database.store_errors():
        at, number = _OPENING_MOMENT.read()
    return at, number or 0


def opening_values(alias: str) -> list[Any]:
    """Return the expressions of ``opening_moment``, for a statement that asks for more."""
    newest = NotBeforeMark.objects.using(alias).order_by("-number").values("number")[:1]
    return [DatabaseNow(output_field=models.DateTimeField()), Subquery(newest)]


_OPENING_MOMENT: Final = CompiledValues(opening_values)


def has_mark_since(subject: str, number: int) -> bool:
    """Return whether a mark newer than ``number`` ends what ``subject`` had before it. One statement."""
    marks = _marks().alias(octets=Octets("subject")).filter(number__gt=number)
    with database.store_errors():
        return marks.filter(octets__in=(EVERYBODY, subject)).exists()


def apply_mark(session: DeviceSession) -> None:
    """Set the ending of a session that a mark has ended, if its row does not have it yet."""
    marks = _marks().alias(octets=Octets("subject")).filter(number__gt=session.not_before_number)
    mark = marks.filter(octets__in=(EVERYBODY, session.subject)).order_by("number").first()
    if mark is None:  # pruned since, so its row has been updated
        session.refresh_from_db(using=database.alias(), fields=["ended_at", "end_reason", "ended_by"])
        return
    expired = expiry_reason(session.idle_expires_at, session.expires_at, mark.at)
    session.ended_at, session.end_reason = mark.at, expired or mark.reason
    session.ended_by_id = None if expired else mark.by_id


def _of(subject: str) -> DeviceSessionQuerySet:
    sessions = DeviceSession.objects.using(database.alias())
    if subject == EVERYBODY:
        return sessions.all()
    return sessions.filter(is_exactly("subject", subject), subject=subject)  # the second for the index


def _marks() -> models.QuerySet[NotBeforeMark]:
    return _rows().exclude(number=_LOCK_NUMBER)


def _rows() -> models.QuerySet[NotBeforeMark]:
    return NotBeforeMark.objects.using(database.alias())
