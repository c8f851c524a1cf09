"""Ending all sessions of a user, or of everybody, in one write; their rows follow in batches."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from authx.core.revocation_log import EVERYBODY
from authx.models import DeviceSession, NotBeforeMark
from authx.sessions.ending import Ending, end_all
from authx.sessions.kick_announcing import announced_together
from authx.sessions.not_before import catch_up_with, write_mark
from authx.sessions.ports import actor_of
from authx.sessions.queries import continuing
from authx.sessions.subjects import find_subject
from authx.store import database


def end_user_sessions(
    user: Any,
    reason: str,
    by: Any = None,
    *,
    request: Any = None,
    note: str = "",
    keep: DeviceSession | None = None,
    now: datetime | None = None,
) -> int:
    """End every session of ``user`` that was opened before now, in one write; return how many ended.

    ``keep`` is the session that goes on, that of the device from which the user acts, or the one that has
    continued it since; one that is over, or another user's, keeps none.

    The write is a not-before mark. All these sessions are refused from then on, by authx and by every
    service, and so is a login in progress. The rows, their events and signals follow in transactions of a few
    hundred: if that is interrupted, the sessions stay refused, and ``authx_prune`` finishes it. Sessions
    opened under another subject, before AUTHX_SUBJECT_FIELD was changed, end in the mark's transaction, one
    by one. ``by`` is a user, or the ``Actor`` that a door has built.

    Raises:
        ValueError: ``reason`` is not an ``EndReason``, or ``user`` is None or not saved.
        StoreUnavailable: the database cannot be written; no session has been ended, or all have and some of
            their rows do not say so yet.
    """
    key = getattr(user, "pk", None)
    if key in (None, EVERYBODY):
        raise ValueError("a user who is not saved has no sessions to end")
    ending = Ending.of(reason, actor_of(request, by), note, now)
    subject = find_subject(user)

    def write() -> tuple[NotBeforeMark | None, int]:
        mark = None if subject is None else write_mark(subject, ending, keep)
        return mark, end_all(_under_another(key, subject, keep), ending)

    with announced_together():
        mark, ended = database.transact(write)
        if mark is not None:
            ended += sum(catch_up_with(mark, ending, database.ROWS_PER_TRANSACTION))
    return ended


def end_everyone(
    reason: str, by: Any = None, *, request: Any = None, note: str = "", now: datetime | None = None
) -> int:
    """End everybody's sessions, as ``end_user_sessions`` does for one user; those of ``by`` included."""
    ending = Ending.of(reason, actor_of(request, by), note, now)
    mark = database.transact(lambda: write_mark(EVERYBODY, ending))
    with announced_together():
        return sum(catch_up_with(mark, ending, database.ROWS_PER_TRANSACTION))


def _under_another(key: Any, subject: str | None, keep: DeviceSession | None) -> list[UUID]:
    """Return the user's sessions, but ``keep``, that no mark of ``subject`` ends.

    Compared in Python, because a database may take Ada and ada for the same.
    """
    owned = DeviceSession.objects.using(database.alias()).filter(user=key, ended_at=None).order_by("pk")
    if keep is not None:
        owned = owned.exclude(pk__in={keep.pk, *continuing([keep.pk])})
    return [sid for sid, stored in owned.values_list("pk", "subject") if stored != subject]
