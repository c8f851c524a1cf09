"""What is good for one time only: tickets for sockets, and login proofs. One INSERT decides who was first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError
from django.utils import timezone

from authx.models import UsedTicket
from authx.store import database
from authx.store.batches import delete_in_batches

#: How long a row is kept after its time. A ticket is good for half a minute after it, and for four times the
#: AUTHX_CLOCK_LEEWAY that there may be at most, by which the clocks of those who make, take and tidy can
#: differ; the time of a login proof is that at which it is no longer good.
_KEEP: Final = timedelta(minutes=5)


def use_up(name: str, at: datetime) -> bool:
    """Note that ``name`` has been used, in the caller's transaction; return whether it was the first time.

    Not in a cache, which may be flushed, or be each process's own. Where it returns False inside a
    transaction, that must not commit.

    Raises:
        StoreUnavailable: the database cannot be written.
    """
    with database.store_errors():
        try:
            UsedTicket.objects.using(database.alias()).create(name=name, at=at)
        except IntegrityError:
            return False
    return True


def prune_used(batch: int, *, now: datetime | None = None) -> Iterator[int]:
    """Delete the rows of what is too old to be shown again; yield how many each time."""
    before = (now or timezone.now()) - _KEEP
    old = UsedTicket.objects.using(database.alias()).filter(at__lt=before)
    return delete_in_batches(old, batch, by="at")
