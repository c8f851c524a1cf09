"""Work that no request waits for."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

#: Runs something, now or later; whoever hands it over does not wait.
RunInBackground = Callable[[Callable[[], None]], None]


def in_a_thread(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread of its own, which keeps no process alive; here, if none can be had."""
    try:
        Thread(target=work, name="authx", daemon=True).start()
    except RuntimeError:  # the system's limit, or the interpreter is going down
        work()
