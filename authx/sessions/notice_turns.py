"""One notice an hour for each user, kind and device: whose turn it is, and what waits for the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from authx.conf import conf
from authx.models import SentNotice
from authx.store import database
from authx.store.batches import delete_in_batches

PERIOD: Final = timedelta(hours=1)
#: How many of those that were held back are listed; the others are counted.
MAX_LISTED: Final = 20
#: Each time that one writer loses to another, that one has made progress.
_MAX_ATTEMPTS: Final = 50
#: How often a first row is tried: where none can be written, the user has just been deleted.
_MAX_INSERTS: Final = 3


@dataclass(frozen=True, slots=True)
class Turn:
    """May be sent now, with what was held back since the last one."""

    held_back: tuple[Mapping[str, Any], ...] = ()
    held_back_count: int = 0


def take_turn(
    user: Any,
    kind: str,
    device: str,
    occurrences: Sequence[Mapping[str, Any]],
    *,
    now: datetime | None = None,
) -> Turn | None:
    """Return the turn of this notice; None if it is held back, or its user is gone.

    ``user`` is a primary key. ``device`` is any text that tells the user's devices apart, ``""`` if the kind
    is about none. ``occurrences``, what it tells of, are plain values that JSON takes, and kept if it is held
    back. Two statements or three, each a transaction of its own.

    Raises:
        StoreUnavailable: the database cannot be read or written.
    """
    at = now or timezone.now()
    about = {"user_id": user, "kind": kind, "device": sha256(device.encode()).hexdigest() if device else ""}
    inserts = 0
    with database.store_errors():
        for _ in range(_MAX_ATTEMPTS):
            row = _rows().filter(**about).first()
            if row is None:
                if _insert(about, at):
                    return Turn()
                inserts += 1
                if inserts == _MAX_INSERTS:
                    return None
            elif _is_over(row.sent_at, at):
                if _change(row, sent_at=at, held_back=None, held_back_count=0):
                    return Turn(tuple(row.held_back or ()), row.held_back_count)
            elif _hold_back(row, occurrences):
                return None
        count = F("held_back_count") + len(occurrences)
        _rows().filter(**about).update(held_back_count=count, version=F("version") + 1)
    return None


def prune_turns(batch: int, *, now: datetime | None = None) -> Iterator[int]:
    """Delete the rows whose hour is over and that hold nothing back, or are older than AUTHX_RETENTION.

    Yields how many each time.
    """
    at = now or timezone.now()
    old = _rows().filter(sent_at__lt=at - PERIOD, held_back_count=0)
    older = _rows().filter(sent_at__lt=at - max(conf.RETENTION, PERIOD))
    for found in (old, older):
        yield from delete_in_batches(found, batch, by="sent_at")


def turns_of(user: Any) -> list[SentNotice]:
    """Return what is kept about the notices to a user, whose primary key this is."""
    return list(_rows().filter(user=user).order_by("pk"))


def forget_turns(user: Any, *, dry_run: bool = False) -> int:
    """Delete what is kept about the notices to a user; return how many rows there were."""
    rows = _rows().filter(user=user)
    return rows.count() if dry_run else database.transact(lambda: int(rows.delete()[0]))


def _is_over(sent_at: datetime, at: datetime) -> bool:
    """Return whether the hour is over; a clock that was put back holds nothing back for longer than that."""
    return abs(at - sent_at) >= PERIOD


def _insert(about: Mapping[str, Any], at: datetime) -> bool:
    try:
        with transaction.atomic(using=database.alias()):
            _rows().create(**about, sent_at=at)
    except IntegrityError:  # another was first, or the user is gone
        return False
    return True


def _hold_back(row: SentNotice, occurrences: Sequence[Mapping[str, Any]]) -> bool:
    listed = [*(row.held_back or ()), *map(dict, occurrences)][:MAX_LISTED]
    return _change(row, held_back=listed, held_back_count=row.held_back_count + len(occurrences))


def _change(row: SentNotice, **columns: Any) -> bool:
    """Change the row in one conditional statement; return False if another writer has, since it was read."""
    this = _rows().filter(pk=row.pk, version=row.version)
    return bool(this.update(**columns, version=row.version + 1))


def _rows() -> Any:
    return SentNotice.objects.using(database.alias())
