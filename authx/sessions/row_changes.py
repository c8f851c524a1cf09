"""Ways to change the rows of a query: at once, in batches, or only to count them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model, QuerySet

from authx.store import database

#: Changes the rows of a query, or only counts them; returns how many. Takes the new value of each column.
Change = Callable[[QuerySet[Any], dict[str, Any]], int]


def at_once(found: QuerySet[Any], columns: dict[str, Any]) -> int:
    """Change the rows in one UPDATE, in the caller's transaction; return how many."""
    return found.update(**columns)


def in_batches(found: QuerySet[Any], columns: dict[str, Any]) -> int:
    """Change the rows in batches, with one transaction and one UPDATE each; return how many."""
    keys = list(found.order_by("pk").values_list("pk", flat=True))
    return sum(_batch(found.filter(pk__in=chunk), columns) for chunk in database.chunks(keys))


def _batch(found: QuerySet[Any], columns: dict[str, Any]) -> int:
    return database.transact(lambda: found.update(**columns))


def count_only() -> Change:
    """Return a ``Change`` that changes nothing, and counts each row once."""
    seen: set[tuple[type[Model], Any]] = set()

    def count(found: QuerySet[Any], columns: dict[str, Any]) -> int:
        before = len(seen)
        seen.update((found.model, key) for key in found.order_by().values_list("pk", flat=True))
        return len(seen) - before

    return count
