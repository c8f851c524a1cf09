"""Background work."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

#: Runs a function, now or later; the caller does not rely on when.
RunInBackground = Callable[[Callable[[], None]], None]


def in_a_thread(work: Callable[[], None]) -> None:
    """Run ``work`` in a daemon thread of its own, or in this thread if none can be started."""
    try:
        Thread(target=work, name="authx", daemon=True).start()
    except RuntimeError:  # the system's limit, or the interpreter is going down
        work()
