"""Ending all sessions of a user, or of everybody, in one write; their rows follow in batches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Max, Subquery
from django.utils import timezone

from authx.core.device import clean_text
from authx.gate.revocation.window import window
from authx.models import DeviceSession, EndReason, NotBeforeMark
from authx.models.exactly import Octets, is_exactly
from authx.sessions.audit import Actor
from authx.sessions.ending import CHUNK, Ending, end_all, end_together
from authx.sessions.subjects import find_subject
from authx.store import database, revocation_log
from authx.store.database import DatabaseNow

#: The number of a row that is no mark: whoever writes one takes its turn by this row.
_TURN = 0
EVERYBODY = ""


def end_user_sessions(
    user: Any,
    reason: str,
    by: Any = None,
    *,
    request: Any = None,
    note: str = "",
    now: datetime | None = None,
) -> int:
    """End every session of ``user`` that was opened before now, in one write; how many ended.

    It refuses them all, at every door and in every service; a login under way is not spared. The rows, their
    events and signals follow in transactions of a few hundred: if that is interrupted, nobody is let in, and
    ``authx_prune`` finishes it. Those that were opened under another subject, before AUTHX_SUBJECT_FIELD was
    changed, end with the mark, one by one.

    Raises:
        ValueError: ``reason`` is not an ``EndReason``, or ``user`` is None or not saved.
        StoreUnavailable: the database cannot be written; no session has been ended, or all have and some of
            their rows do not say so yet.
    """
    key = getattr(user, "pk", None)
    if key in (None, EVERYBODY):
        raise ValueError("a user who is not saved has no sessions to end")
    ending = Ending.of(reason, by, request, note, now)
    subject = find_subject(user)

    def write() -> tuple[NotBeforeMark | None, int]:
        mark = None if subject is None else _write(subject, ending)
        return mark, end_all(_under_another(key, subject), ending)

    mark, ended = database.transact(write)
    return ended + (sum(_catch_up(mark, ending, CHUNK)) if mark is not None else 0)


def _under_another(key: Any, subject: str | None) -> list[UUID]:
    """The user's sessions that no mark of ``subject`` ends. Compared here: to a database Ada may be ada."""
    owned = DeviceSession.objects.using(database.alias()).filter(user=key, ended_at=None).order_by("pk")
    return [sid for sid, stored in owned.values_list("pk", "subject") if stored != subject]


def end_everyone(
    reason: str, by: Any = None, *, request: Any = None, note: str = "", now: datetime | None = None
) -> int:
    """End everybody's sessions, as ``end_user_sessions`` does one user's; whoever asks for it included."""
    ending = Ending.of(reason, by, request, note, now)
    mark = database.transact(lambda: _write(EVERYBODY, ending))
    return sum(_catch_up(mark, ending, CHUNK))


def _write(subject: str, ending: Ending) -> NotBeforeMark:
    """Marks commit in the order of their numbers: a session of an era was opened after all marks up to it."""
    _take_turn(ending.at)
    number = _next_number(subject)
    revocation_log.write_mark(subject, number, ending.reason.value)
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


def _take_turn(at: datetime) -> None:
    """Wait for whoever writes a mark, until the transaction ends. An UPDATE, as ``limiting.lock_user``."""
    turn = NotBeforeMark(number=_TURN, reason="", at=at)
    if not _rows().filter(number=_TURN).update(at=at):
        _rows().bulk_create([turn], ignore_conflicts=True)
        _rows().filter(number=_TURN).update(at=at)


def _next_number(subject: str) -> int:
    """Above the newest, and above the eras it is to end: those of a table that was lost are eras too."""
    newest = _rows().select_for_update().order_by("-number").first()  # as it is now, whatever the snapshot
    eras = _of(subject).aggregate(newest=Max("era"))
    return max(newest.number if newest else _TURN, eras["newest"] or 0) + 1


def catch_up(batch: int) -> Iterator[int]:
    """Let the rows that a mark has ended say so, ``batch`` at a time; yields how many each time.

    The oldest mark first: it is the one that ended them.
    """
    for mark in list(_marks().order_by("number")):
        ending = Ending(EndReason(mark.reason), mark.at, Actor.of(mark.by), mark.note)
        yield from _catch_up(mark, ending, batch)


def _catch_up(mark: NotBeforeMark, ending: Ending, batch: int) -> Iterator[int]:
    """Those that were live at the mark. Of everybody the log of endings holds the mark, and names nobody."""
    hit = _of(mark.subject).filter(
        ended_at=None, era__lt=mark.number, idle_expires_at__gt=mark.at, expires_at__gt=mark.at
    )
    yield from end_together(hit, ending, batch, logged=mark.subject != EVERYBODY)


def prune_marks(*, now: datetime | None = None) -> int:
    """Delete the marks that nothing from before them can be left of, but for the newest; how many.

    Their rows must have been caught up with. The newest stays, so that eras never go back; not its note.
    """
    before = (now or timezone.now()) - 2 * window()
    newest = _marks().order_by("-number").values_list("number", flat=True).first() or _TURN
    old = _marks().filter(at__lt=before)

    def write() -> int:
        deleted = int(old.filter(number__lt=newest).delete()[0])
        old.exclude(note="").update(note="")
        return deleted

    return database.transact(write)


def opening_moment() -> tuple[datetime, int]:
    """The database's clock and the number of the newest mark, for a session to be opened. One statement."""
    newest = _rows().order_by("-number").values("number")[:1]
    at, era = database.evaluate(DatabaseNow(output_field=models.DateTimeField()), Subquery(newest))
    return at, era or 0


def apply_mark(session: DeviceSession) -> None:
    """Let a session that a mark has ended say so, where its row does not yet."""
    marks = _marks().alias(octets=Octets("subject")).filter(number__gt=session.era)
    mark = marks.filter(octets__in=(EVERYBODY, session.subject)).order_by("number").first()
    if mark is None:  # pruned since, and so its row has been caught up with
        session.refresh_from_db(using=database.alias(), fields=["ended_at", "end_reason", "ended_by"])
        return
    expired = session.rotation_state().expiry_reason(mark.at)
    session.ended_at, session.end_reason = mark.at, expired or mark.reason
    session.ended_by_id = None if expired else mark.by_id


def _of(subject: str) -> models.QuerySet[DeviceSession]:
    sessions = DeviceSession.objects.using(database.alias())
    if subject == EVERYBODY:
        return sessions.all()
    return sessions.filter(is_exactly("subject", subject), subject=subject)  # the latter for the index


def _marks() -> models.QuerySet[NotBeforeMark]:
    return _rows().exclude(number=_TURN)


def _rows() -> models.QuerySet[NotBeforeMark]:
    return NotBeforeMark.objects.using(database.alias())
