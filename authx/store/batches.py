"""Old rows deleted in batches, with a transaction each, so that no login waits for long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from authx.store import database


def delete_in_batches(old: QuerySet[Any], batch: int, *, by: str) -> Iterator[int]:
    """Delete ``batch`` rows at a time, in the order of the column ``by``; yield how many each time.

    Each is asked about again as it is deleted: it may have changed since it was found.
    """
    while keys := list(old.order_by(by).values_list("pk", flat=True)[:batch]):
        yield database.transact(old.filter(pk__in=keys).delete)[0]
