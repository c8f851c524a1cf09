"""This process's own copy of the recent endings, of known age: no round trip per request."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from threading import Lock

from authx.errors import StoreUnavailable
from authx.gate.endings import LARGEST, Endings, Feed

#: Seconds without a copy, after there were too many endings to keep.
PAUSE = 60.0
#: Seconds after a failed reading in which nobody tries again.
REST = 0.25
#: A copy so many seconds old is read again, however much older the lag lets it get.
EAGER = 5.0
#: A copy so many seconds old is read anew: going on would cost more.
STALE = 600.0


class NoCopy(Exception):
    """There are too many endings to keep a copy of: ask the store."""


class LocalCopy:
    """Reasons by ``sid``, read again when older than the lag.

    Age counts from the moment a reading began. The first who finds the copy half as old as it may get, or
    five seconds, reads for all; who finds it too old waits for that reading.
    """

    def __init__(
        self, feed: Feed, clock: Callable[[], float] = time.monotonic, *, keep: Callable[[], float]
    ) -> None:
        """``keep`` tells how many seconds an ending matters."""
        self._feed, self._clock, self._keep = feed, clock, keep
        self._ended: dict[str, str] = {}
        #: What each reading added, and when it began, oldest first.
        self._told: deque[tuple[float, list[str]]] = deque()
        self._read_at = self._failed_at = self._paused_until = float("-inf")
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._ended)

    def reason(self, sid: str, *, lag: float) -> str | None:
        """Why a session has ended, as of at most ``lag`` seconds ago; None if it had not.

        Raises:
            NoCopy: there are too many endings.
            StoreUnavailable: the copy is too old and cannot be renewed.
        """
        now = self._clock()
        age = now - self._read_at
        if age > min(lag / 2, EAGER):
            self._renew(now, lag, must=age > lag)
        return self._ended.get(sid)

    def add(self, ended: Mapping[str, str]) -> None:
        """Take over endings that this process has just committed; the next reading tells them again."""
        self._ended.update(ended)

    def _renew(self, now: float, lag: float, *, must: bool) -> None:
        if now < self._paused_until:
            raise NoCopy
        if not self._lock.acquire(blocking=must):
            return  # somebody is reading, and the copy is good meanwhile
        try:
            began = self._clock()
            # A reading that began after we were asked is as good as one of our own.
            if self._read_at < now and began - self._read_at > min(lag / 2, EAGER):
                self._read(began)
        except StoreUnavailable:
            if must:
                raise
        finally:
            self._lock.release()

    def _read(self, began: float) -> None:
        if began - self._failed_at < REST:
            raise StoreUnavailable("the endings could not be read a moment ago")
        if began - self._read_at > STALE:
            self._feed.begin_again()
        try:
            found = self._feed.read()
        except StoreUnavailable:
            self._failed_at = began
            raise
        if found.too_many or (not found.whole and len(self._ended) > LARGEST):
            self._give_up(began)
        self._take(found, began)

    def _take(self, found: Endings, began: float) -> None:
        if found.whole:
            self._ended, self._told = dict(found.ended), deque()
        else:
            self._ended.update(found.ended)
        if found.ended:
            self._told.append((began, list(found.ended)))
        oldest = began - self._keep()
        while self._told and self._told[0][0] < oldest:
            for sid in self._told.popleft()[1]:
                self._ended.pop(sid, None)
        self._read_at = began

    def _give_up(self, now: float) -> None:
        self._feed.begin_again()
        self._ended, self._told, self._read_at = {}, deque(), float("-inf")
        self._paused_until = now + PAUSE
        raise NoCopy

    def after_fork(self) -> None:
        """Leave the lock that a thread of the parent may hold, and the reading it was in."""
        self._lock = Lock()
        self._feed.begin_again()
        self._read_at = float("-inf")
