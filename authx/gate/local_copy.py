"""This process's own copy of the recent endings, of known age: no round trip per request."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Lock

from authx.core.log_entries import merged
from authx.errors import StoreUnavailable
from authx.gate.apart import Apart
from authx.gate.breaker import Breaker
from authx.gate.endings import LARGEST, PAUSE, Endings, Feed

logger = logging.getLogger("authx")

#: Seconds after a failed reading in which nobody tries again: at first, and after many in a row.
REST, LONGEST_REST = 0.25, 4.0
#: A copy so many seconds old is read again, however much older the lag lets it get.
EAGER = 5.0
#: A copy so many seconds old is read anew: going on would cost more.
STALE = 600.0


class NoCopy(Exception):
    """There are too many endings to keep a copy of: ask the store."""


class LocalCopy:
    """What is told by name, read again when older than the lag.

    Age counts from the moment a reading began. The first who finds the copy half as old as it may get, or
    five seconds, reads for all, or has it read; who finds it too old waits for that reading.
    """

    def __init__(
        self,
        feed: Feed,
        clock: Callable[[], float] = time.monotonic,
        *,
        keep: Callable[[], float],
        apart: Apart | None = None,
    ) -> None:
        """``keep`` tells how many seconds an ending matters.

        ``apart`` runs the readings that nobody has to wait for; without it whoever notices reads.
        """
        self._feed, self._clock, self._keep, self._apart = feed, clock, keep, apart
        self._ended: dict[str, str] = {}
        #: What each reading added, and when it began, oldest first.
        self._told: deque[tuple[float, Mapping[str, str]]] = deque()
        #: What was added since the last reading began, and when.
        self._added: deque[tuple[float, Mapping[str, str]]] = deque()
        self._read_at = self._paused_until = float("-inf")
        self._breaker = Breaker(clock, first=REST, longest=LONGEST_REST)
        #: Held by whoever reads.
        self._lock = Lock()
        #: Held for a moment by whoever changes what is kept: a reading, or an ending of this process.
        self._changing = Lock()

    def __len__(self) -> int:
        return len(self._ended)

    def told(self, names: Iterable[str], *, lag: float) -> list[str | None]:
        """What is told under each of ``names``, as of at most ``lag`` seconds ago.

        Raises:
            NoCopy: there are too many endings.
            StoreUnavailable: the copy is too old and cannot be renewed.
        """
        now = self._clock()
        age = now - self._read_at
        if age > min(lag / 2, EAGER):
            self._renew(now, lag, must=age > lag)
            if self._read_at < now and self._clock() - self._read_at > lag:
                raise StoreUnavailable("the endings have not been read lately enough")
        return list(map(self._ended.get, names))

    def add(self, ended: Mapping[str, str]) -> None:
        """Take over endings that this process has just committed; the next reading tells them again."""
        with self._changing:
            self._added.append((self._clock(), ended))
            merged(ended.items(), self._ended)

    def _renew(self, now: float, lag: float, *, must: bool) -> None:
        """One reads for all. Who must have a newer copy waits, unless the last reading has failed."""
        if now < self._paused_until:
            raise NoCopy
        waits = must and self._breaker.is_closed
        if not self._lock.acquire(blocking=waits):
            return
        if self._apart is None or waits:
            self._renew_here(now, lag)
        else:
            self._apart(lambda: self._renew_there(now, lag))

    def _renew_there(self, now: float, lag: float) -> None:
        with suppress(NoCopy):  # raised again for whoever asks next
            self._renew_here(now, lag)

    def _renew_here(self, now: float, lag: float) -> None:
        """The lock is held, and given back."""
        try:
            began = self._clock()
            # A reading that began after we were asked is as good as one of our own.
            if self._read_at < now and began - self._read_at > min(lag / 2, EAGER):
                self._read(began)
        finally:
            self._lock.release()

    def _read(self, began: float) -> None:
        """One that fails changes nothing but how long the next one waits; the feed says why in the log."""
        if not self._breaker.allows():
            return
        if began - self._read_at > STALE:
            self._feed.begin_again()
        try:
            found = self._feed.read()
        except StoreUnavailable:
            self._breaker.failed()
            return
        self._breaker.worked()
        if found.too_many or (not found.whole and len(self._ended) > LARGEST):
            self._give_up(began)
        with self._changing:
            self._take(found, began)

    def _take(self, found: Endings, began: float) -> None:
        while self._added and self._added[0][0] < began:
            self._added.popleft()
        if found.whole:
            self._ended, self._told = dict(found.ended), deque()
            for _, ended in self._added:  # this reading may not have seen them
                merged(ended.items(), self._ended)
        else:
            merged(found.ended.items(), self._ended)
        if found.ended:
            self._told.append((began, found.ended))
        oldest = began - self._keep()
        while self._told and self._told[0][0] < oldest:
            for name, told in self._told.popleft()[1].items():
                if self._ended.get(name) == told:  # not a later mark
                    del self._ended[name]
        self._read_at = began

    def _give_up(self, now: float) -> None:
        logger.warning("There are more than %d endings: no copy of them is kept for %.0f s.", LARGEST, PAUSE)
        self._feed.begin_again()
        with self._changing:
            self._ended, self._told, self._read_at = {}, deque(), float("-inf")
        self._paused_until = now + PAUSE
        raise NoCopy

    def after_fork(self) -> None:
        """Leave the locks that threads of the parent may hold, and the reading one was in."""
        self._lock, self._changing = Lock(), Lock()
        self._feed.begin_again()
        self._read_at = float("-inf")
