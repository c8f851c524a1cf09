"""Background work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from django.db import connections

from authx.errors import StoreUnavailable

#: Runs a function, now or later; the caller does not rely on when.
RunInBackground = Callable[[Callable[[], None]], None]


def in_a_thread(work: Callable[[], None]) -> None:
    """Run ``work`` in a daemon thread of its own, or in this thread if none can be started."""
    try:
        start_thread(work)
    except StoreUnavailable:
        work()


def start_thread(work: Callable[[], None]) -> None:
    """Run ``work``, which may take long, in a daemon thread of its own.

    Raises:
        StoreUnavailable: none can be started.
    """
    try:
        Thread(target=work, name="authx", daemon=True).start()
    except RuntimeError as error:  # the system's limit, or the interpreter is going down
        raise StoreUnavailable("no thread can be started") from error


def close_connections(*, pooled_alone: bool = False) -> None:
    """Close this thread's database connections; one that was lost, and cannot be closed, is given up.

    With ``pooled_alone``, only give back those of a site's pool (``OPTIONS["pool"]``): what a thread keeps of
    a small pool is missed by requests.
    """
    for connection in connections.all(initialized_only=True):
        if not pooled_alone or connection.settings_dict.get("OPTIONS", {}).get("pool"):
            with suppress(Exception):
                connection.close()
