"""Real threads on a real database, started together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connections


def race(*actors: Callable[[], Any]) -> list[Any]:
    """Run all actors at once, each in a thread with a connection of its own; their results or errors."""
    start = Barrier(len(actors))

    def run(actor: Callable[[], Any]) -> Any:
        try:
            start.wait(timeout=30)
            return actor()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(actors)) as pool:
        return list(pool.map(run, actors))


def only(results: Sequence[Any]) -> Any:
    """The one value that all results have in common; fails, naming them, if they differ."""
    distinct = {repr(result): result for result in results}
    assert len(distinct) == 1, distinct
    return next(iter(distinct.values()))
