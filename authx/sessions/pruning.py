"""Pruning: expired sessions are ended, old ones deleted, one batch per transaction."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db.models import F

from authx.core.reasons import EndReason
from authx.models import AuthorizationCode, DeviceSession, SessionEvent
from authx.sessions.ending import Ending, end_together
from authx.sessions.erasure import erase_log
from authx.store import database


def mark_expired(batch: int, *, now: datetime | None = None) -> Iterator[int]:
    """End expired sessions that nobody has ended yet, ``batch`` at a time; yield how many each time."""
    at = now or database.database_now()
    overdue = _sessions().expired(at)
    idle = overdue.filter(idle_expires_at__lt=F("expires_at"))
    for found, reason in ((idle, EndReason.IDLE), (overdue, EndReason.EXPIRED)):
        yield from end_together(found, Ending(reason, at), batch)


def prune(keep: timedelta, batch: int, *, now: datetime | None = None) -> Iterator[int]:
    """Delete sessions that ended longer ago than ``keep``, with their events; yield how many each time.

    Then delete events as old without a session, such as failed logins; these are not counted.
    """
    before = (now or database.database_now()) - keep
    old = _sessions().filter(ended_at__lt=before)
    while keys := list(old.order_by("ended_at").values_list("pk", flat=True)[:batch]):
        yield database.transact(partial(_delete, keys))
    events = SessionEvent._base_manager.using(database.alias()).filter(session=None, at__lt=before)
    while keys := list(events.order_by("at").values_list("pk", flat=True)[:batch]):
        database.transact(partial(_delete_events, keys))


def _delete_events(keys: list[Any]) -> None:
    SessionEvent._base_manager.using(database.alias()).filter(pk__in=keys)._raw_delete(database.alias())


def _delete(keys: list[Any]) -> int:
    # The events' own manager refuses to delete; only this module may.
    events = SessionEvent._base_manager.using(database.alias()).filter(session__in=keys)
    events._raw_delete(database.alias())
    AuthorizationCode._base_manager.using(database.alias()).filter(login__in=keys)._raw_delete(
        database.alias()
    )
    erase_log(keys)
    return int(_sessions().filter(pk__in=keys)._raw_delete(database.alias()))


def _sessions() -> Any:
    return DeviceSession.objects.using(database.alias())
