"""Following the endings: a copy is kept fresh, and what is new in it passed on, while somebody listens.

A request asks about its own session. A socket or an open page asks nothing once it is open, so the endings
have to come to it: from this process at once, from all others with the next reading.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock
from typing import Final

from authx import clocks
from authx.conf import conf
from authx.errors import StoreUnavailable
from authx.gate.background import RunInBackground, close_connections, start_thread
from authx.gate.ports import current_database
from authx.gate.revocation import sources
from authx.gate.revocation.local_copy import Listener, LocalCopy, TooManyEndings
from authx.gate.shared_copy import drop_on_change

logger = logging.getLogger("authx")

#: Seconds between two readings; it costs the same for any number of listeners.
INTERVAL_SECONDS: Final = 0.4
#: The least for a service, whose readings are requests to the issuer.
REMOTE_INTERVAL_SECONDS: Final = 1.0


class Follower:
    """Reads one copy again and again, in a thread that lives while there are listeners."""

    def __init__(
        self,
        copy: LocalCopy,
        interval: float = INTERVAL_SECONDS,
        *,
        clock: Callable[[], float] = clocks.monotonic,
        run_in_background: RunInBackground = start_thread,
    ) -> None:
        """Read ``copy`` every ``interval`` seconds; tests give a clock, and may read by ``look`` alone."""
        self.interval = interval
        #: When the last reading started that succeeded, or this began to follow (seconds of ``clock``).
        self.read_at = clock()
        #: Whether there are too many endings to follow them: the store has to be asked meanwhile.
        self.is_paused = False
        self._copy, self._clock, self._run_in_background = copy, clock, run_in_background
        self._count, self._is_running, self._is_puzzled = 0, False, False
        self._lock, self._stopped = Lock(), Event()

    def add(self, listener: Listener) -> None:
        """Pass the endings on to ``listener``: see ``LocalCopy.listen``.

        Raises:
            StoreUnavailable: no thread can be started that reads them.
        """
        self._copy.listen(listener)
        with self._lock:
            if not self._count:
                self.read_at = self._clock()  # what was missed before is read now
            self._count += 1
            starts, self._is_running = not self._is_running, True
        if not starts:
            return
        try:
            self._run_in_background(self._run)
        except StoreUnavailable:
            self._is_running = False
            self.remove(listener)
            raise

    def remove(self, listener: Listener) -> None:
        """Pass nothing more on to ``listener``; without any, the thread ends."""
        self._copy.unlisten(listener)
        with self._lock:
            self._count -= 1

    def stop(self) -> None:
        """Read nothing more; whoever still listens is not served."""
        self._stopped.set()

    def look(self) -> None:
        """Read what is new, if that is due; a failure is for ``read_at`` to show."""
        try:
            with suppress(StoreUnavailable):
                self._copy.entries((), lag=self.interval)
            self.is_paused = self._is_puzzled = False
        except TooManyEndings:
            self.is_paused = True
        except Exception:
            close_connections()
            if not self._is_puzzled:
                logger.exception("The endings cannot be followed.", extra={"event": "endings_not_followed"})
            self._is_puzzled = True
        if self._copy.is_failing:
            close_connections()  # the connection may have been lost
        self.read_at = max(self.read_at, self._copy.read_at)

    def _run(self) -> None:
        try:
            while self._goes_on():
                due = self._clock() + self.interval
                self.look()
                close_connections(pooled_alone=True)
                self._stopped.wait(max(0.0, due - self._clock()))
        except BaseException:
            with self._lock:
                self._is_running = False  # whoever listens next starts another thread
            raise
        finally:
            close_connections()

    def _goes_on(self) -> bool:
        with self._lock:
            self._is_running = self._count > 0 and not self._stopped.is_set()
            return self._is_running


def follower() -> Follower | None:
    """Return the one that follows the endings in the current database; None where nobody reports them."""
    store = _store()
    if store is None:
        return None
    key = store, current_database()
    found = _followers.get(key)
    if found is None:
        found = _followers.setdefault(key, Follower(sources.copy_of(store), _interval(store)))
    return found


def _store() -> str | None:
    """Return the store whose feed is read: of a site's own source, the log in our database."""
    store = conf.REVOCATION_STORE
    if store == "remote":
        return store if conf.REVOCATIONS_URL else None
    if store in {"database", "redis"}:
        return store
    return None if sources.database_log.is_open else "database"


def _interval(store: str) -> float:
    if store != "remote":
        return INTERVAL_SECONDS
    return max(REMOTE_INTERVAL_SECONDS, conf.REVOCATION_LAG.total_seconds() / 2)


#: By store and database, as the copies are.
_followers: dict[tuple[str, str], Follower] = {}


def _drop() -> None:
    for found in list(_followers.values()):
        found.stop()
    _followers.clear()


drop_on_change(
    _drop,
    *("CACHES", "AUTHX_ISSUER", "AUTHX_REDIS_ALIAS", "AUTHX_REVOCATIONS_URL"),
    *("AUTHX_REVOCATION_STORE", "AUTHX_REVOCATION_LAG"),
)
# The thread has stayed with the parent, and so have its listeners.
os.register_at_fork(after_in_child=_followers.clear)
