"""Ending sessions: once each, with one event, and announced after the commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import models, transaction

from authx import metrics, signals
from authx.core.actor import NOBODY, Actor
from authx.core.reasons import VERDICTS, EndReason
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit
from authx.sessions.kick_announcing import announce, announced_together
from authx.sessions.ports import actor_of
from authx.store import database, revocation_log


@dataclass(frozen=True, slots=True)
class Ending:
    """Why, when and by whom sessions end; the same for each of them."""

    reason: EndReason
    at: datetime
    actor: Actor = NOBODY
    note: str = ""
    #: The device type of the login that replaced the session, where ``reason`` is ``replaced``.
    replaced_by: str = ""

    @classmethod
    def of(cls, reason: str, actor: Actor, note: str = "", now: datetime | None = None) -> Ending:
        """Make one from the arguments of the public functions; ``now`` defaults to the database's clock.

        Raises:
            ValueError: ``reason`` is not an ``EndReason``.
            StoreUnavailable: the database's clock cannot be read.
        """
        known = EndReason(reason)
        return cls(known, now or database.database_now(), actor, note)

    def columns(self) -> dict[str, Any]:
        """Return the columns of an ended row, with their values."""
        return {
            "ended_at": self.at,
            "end_reason": self.reason.value,
            "ended_by": self.actor.user,
            "replaced_by": self.replaced_by,
        }


def end_session(
    session: DeviceSession,
    reason: str,
    by: Any = None,
    *,
    request: Any = None,
    note: str = "",
    now: datetime | None = None,
) -> bool:
    """End one session, or the live one that continues it; return False if it had ended or expired already.

    The first writer's reason stands. A verdict (``idle``, ``expired``, ``reused``, ``password_changed``) is
    on this session alone, and never ends one that continues it. ``by`` is a user, or the ``Actor`` that a
    door has built. Where the session's user has been deleted and nobody is known, the address and the user
    agent are not kept.

    Raises:
        ValueError: ``reason`` is not an ``EndReason``.
        StoreUnavailable: the database cannot be written; the session has not been ended.
    """
    actor = actor_of(request, by)
    if actor.user is None and audit.is_gone(session):
        actor = NOBODY
    return end_all([session.pk], Ending.of(reason, actor, note, now)) == 1


def end_sessions(
    queryset: models.QuerySet[DeviceSession],
    reason: str,
    by: Any = None,
    *,
    request: Any = None,
    note: str = "",
    now: datetime | None = None,
) -> int:
    """End the live sessions of ``queryset``, in transactions of a few hundred; return how many ended now.

    One that is continued meanwhile ends in its successor, as with ``end_session``; those that had ended
    before are passed over, whatever continues them. ``by`` is a user, or the ``Actor`` that a door has built.

    Raises:
        ValueError: ``reason`` is not an ``EndReason``.
        StoreUnavailable: the database cannot be written; some sessions may have been ended.
    """
    EndReason(reason)
    with database.store_errors():
        found = _not_ended(queryset.using(database.alias()))
    if not found:
        return 0
    end = end_all if len(found) == 1 else end_at_once
    with announced_together():
        return end(found, Ending.of(reason, actor_of(request, by), note, now))


def _not_ended(rows: models.QuerySet[DeviceSession]) -> list[UUID]:
    if rows.query.is_sliced or rows.query.combinator:  # it takes no more conditions
        # By name: Django 6.1 adds to a union's tuples what orders them.
        return sorted(row["pk"] for row in rows.values("pk", "ended_at") if row["ended_at"] is None)
    return list(rows.filter(ended_at=None).order_by("pk").values_list("pk", flat=True))


def end_all(keys: Sequence[UUID], ending: Ending) -> int:
    """End the live ones among these sessions; return how many ended now."""
    return sum(database.transact(partial(_end, chunk, ending)) for chunk in database.chunks(keys))


def _end(keys: Sequence[UUID], ending: Ending) -> int:
    """End each session in one conditional statement, so that a second writer changes nothing."""
    ended = [found for key in keys if (found := _end_one(key, ending)) is not None]
    record(ended, ending)
    return len(ended)


def _end_one(key: UUID, ending: Ending) -> UUID | None:
    """End the session, or the live one that continues it after any number of steps; return which."""
    live = DeviceSession.objects.using(database.alias()).live(ending.at)
    found: UUID | None = key
    while found is not None and not live.filter(pk=found).update(**ending.columns()):
        found = None if ending.reason in VERDICTS else successor_or_none(found)
    return found


def successor_or_none(key: UUID) -> UUID | None:
    """Return the id of the session that continues this ended one; if there is none yet, there never will be.

    A locking read: it sees what has been committed by now, also under REPEATABLE READ.
    """
    this = DeviceSession.objects.using(database.alias()).filter(pk=key)
    found = this.select_for_update().values_list("successor", "end_reason").first()
    successor, reason = found or (key, "")
    if successor is None and reason == EndReason.PASSWORD_CHANGED:  # the response is still to continue it
        this.update(successor=key)
    return None if successor == key else successor


def end_together(
    found: models.QuerySet[DeviceSession], ending: Ending, batch: int, *, logged: bool = True
) -> Iterator[int]:
    """End all sessions of ``found``, which must not match ended ones; yield how many each time.

    One transaction and one UPDATE per ``batch``. ``logged`` is False if the revocation log has them already.
    """
    last = UUID(int=0)
    while keys := list(found.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:batch]):
        last = keys[-1]
        yield database.transact(partial(_end_together, found, keys, ending, logged))


def _end_together(
    found: models.QuerySet[DeviceSession], keys: list[UUID], ending: Ending, logged: bool
) -> int:
    """End these sessions in one UPDATE; one by one only if another writer has ended some of them first."""
    if not _update_together(found, keys, ending):
        keys = [key for key in keys if found.filter(pk=key).update(**ending.columns())]
    record(keys, ending, logged=logged)
    return len(keys)


def _update_together(found: models.QuerySet[DeviceSession], keys: Sequence[UUID], ending: Ending) -> bool:
    """Update these rows in one statement; change none, and return False, if ``found`` has not all of them."""
    with transaction.atomic(using=database.alias()):
        is_whole = found.filter(pk__in=keys).update(**ending.columns()) == len(keys)
        if not is_whole:
            transaction.set_rollback(True, using=database.alias())
    return is_whole


def end_at_once(keys: Sequence[UUID], ending: Ending) -> int:
    """End these live sessions with one UPDATE for a few hundred; return how many ended now.

    If another writer has ended some first, as ``end_all`` does it: with what continues them.
    """
    return sum(database.transact(partial(_end_at_once, chunk, ending)) for chunk in database.chunks(keys))


def _end_at_once(keys: Sequence[UUID], ending: Ending) -> int:
    if not _update_together(DeviceSession.objects.using(database.alias()).live(ending.at), keys, ending):
        return _end(keys, ending)
    record(keys, ending)
    return len(keys)


def record(keys: Sequence[UUID], ending: Ending, *, logged: bool = True) -> None:
    """Write the events of endings made in this transaction; publish and announce them after its commit."""
    reason = ending.reason.value
    audit.record(
        SessionEvent.Kind.ENDED,
        *(DeviceSession(id=key) for key in keys),
        at=ending.at,
        outcome=reason,
        actor=ending.actor,
        note=ending.note,
    )
    if keys:
        if logged:
            revocation_log.write(keys, reason)
        database.after_commit(lambda: _announce(keys, ending))
        if ending.reason is EndReason.KICKED:
            announce(keys)


def _announce(keys: Sequence[UUID], ending: Ending) -> None:
    metrics.ENDINGS.count(len(keys), reason=ending.reason.value)
    ended, reused = signals.device_session_ended, signals.refresh_reused
    if not ended.has_listeners(DeviceSession) and not reused.has_listeners(DeviceSession):
        return
    rows = DeviceSession.objects.using(database.alias()).select_related("user").in_bulk(list(keys))
    for session in rows.values():
        arguments = {"session": session, "reason": ending.reason.value, "by": ending.actor.user}
        ended.send_robust(DeviceSession, **arguments)
        if ending.reason is EndReason.REUSED:
            reused.send_robust(DeviceSession, session=session)
