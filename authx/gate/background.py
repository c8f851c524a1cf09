"""Background work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from django.db import connections

#: Runs a function, now or later; the caller does not rely on when.
RunInBackground = Callable[[Callable[[], None]], None]


def in_a_thread(work: Callable[[], None]) -> None:
    """Run ``work`` in a daemon thread of its own, or in this thread if none can be started."""
    try:
        Thread(target=work, name="authx", daemon=True).start()
    except RuntimeError:  # the system's limit, or the interpreter is going down
        work()


def close_connections(*, pooled_alone: bool = False) -> None:
    """Close this thread's database connections; one that was lost, and cannot be closed, is given up.

    With ``pooled_alone``, only give back those of a site's pool (``OPTIONS["pool"]``): a thread may keep one of
    its own, but one that is kept from a small pool is missed by requests.
    """
    for connection in connections.all(initialized_only=True):
        if not pooled_alone or connection.settings_dict.get("OPTIONS", {}).get("pool"):
            with suppress(Exception):
                connection.close()
