"""Background work."""

from __future__ import annotations

from collections.abc import Callable
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


def return_pooled_connections() -> None:
    """Give this thread's connections back where the site has a pool of them (``OPTIONS["pool"]``).

    A thread of ours may keep one that is its own; one that is kept from a small pool is missed by requests.
    """
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict.get("OPTIONS", {}).get("pool"):
            connection.close()
