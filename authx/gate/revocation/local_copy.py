"""This process's own copy of the recent endings, of known age: no round trip per request."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from threading import Lock

from authx import clocks
from authx.core.freshness import NEVER, Policy
from authx.core.revocation_log import merge_entries
from authx.errors import StoreUnavailable
from authx.gate.background import RunInBackground
from authx.gate.revocation.window import MAX_ENDINGS, PAUSE_SECONDS, Endings, Feed
from authx.gate.shared_copy import SharedCopy

logger = logging.getLogger("authx")

#: Seconds without another try after a failed reading: after the first, and after many in a row.
FIRST_REST_SECONDS, MAX_REST_SECONDS = 0.25, 4.0
#: A copy this many seconds old is renewed, even if the lag allows it to become older.
RENEW_AFTER_SECONDS = 5.0
#: A copy this many seconds old is read as a whole: reading what is new would cost more.
REREAD_AFTER_SECONDS = 600.0


#: Receives entries by name, in whichever thread has read or made them; it returns at once and never fails.
Listener = Callable[[Mapping[str, str]], None]


class TooManyEndings(Exception):
    """There are too many endings to keep a copy of: ask the store."""


class LocalCopy:
    """The log's entries by name, read again when older than the lag.

    Its age counts from the start of a reading. The first caller that finds the copy half as old as allowed,
    or five seconds old, reads for all, or has it read; one that finds it too old waits for that reading.
    """

    def __init__(
        self,
        feed: Feed,
        clock: Callable[[], float] = clocks.monotonic,
        *,
        keep: Callable[[], float],
        run_in_background: RunInBackground | None = None,
    ) -> None:
        """Copy what ``feed`` reads; ``keep`` returns how many seconds an ending matters.

        ``run_in_background`` runs the readings that no caller has to wait for; without it, the caller that
        finds one due reads.
        """
        self._feed, self._clock, self._keep = feed, clock, keep
        self._ended: dict[str, str] = {}
        #: What each reading added, and when it started, oldest first.
        self._readings: deque[tuple[float, Mapping[str, str]]] = deque()
        #: What ``add`` has added since the last reading started, and when.
        self._added: deque[tuple[float, Mapping[str, str]]] = deque()
        self._paused_until = NEVER
        #: Replaced as a whole.
        self._listeners: tuple[Listener, ...] = ()
        #: Held for a moment while the entries change: by a reading, or by an ending of this process.
        self._changing = Lock()
        self._copy = SharedCopy(
            self._read,
            clock=clock,
            run_in_background=run_in_background,
            after_fork=self._after_fork,
            name="endings",
        )

    def __len__(self) -> int:
        return len(self._ended)

    @property
    def read_at(self) -> float:
        """Return when the reading started that gave the copy, in seconds of its clock."""
        return self._copy.history.read_at

    @property
    def is_failing(self) -> bool:
        """Return whether the last reading has failed."""
        return self._copy.history.failures > 0

    def entries(self, names: Iterable[str], *, lag: float) -> list[str | None]:
        """Return the entry under each of ``names``, as of at most ``lag`` seconds ago.

        Raises:
            TooManyEndings: there are too many endings.
            StoreUnavailable: the copy is too old and cannot be renewed.
        """
        is_usable = self._copy.ensure_fresh(_policy(lag))
        found = list(map(self._ended.get, names))
        if self._paused_until != NEVER and self._clock() < self._paused_until:
            raise TooManyEndings
        if not is_usable:
            raise StoreUnavailable("the endings have not been read lately enough")
        return found

    def add(self, ended: Mapping[str, str]) -> None:
        """Add endings that this process has just committed; the next reading brings them again."""
        with self._changing:
            self._added.append((self._clock(), ended))
            merge_entries(ended.items(), self._ended)
        self._pass_on(ended)

    def listen(self, listener: Listener) -> None:
        """Pass on to ``listener`` what each reading and each ``add`` brings; an entry may come twice."""
        with self._changing:
            self._listeners = (*self._listeners, listener)

    def unlisten(self, listener: Listener) -> None:
        """Pass on nothing more to ``listener``."""
        with self._changing:
            self._listeners = tuple(each for each in self._listeners if each != listener)

    def _pass_on(self, entries: Mapping[str, str]) -> None:
        for listener in self._listeners if entries else ():
            listener(entries)

    def _read(self, now: float) -> None:
        """Add what is new; a reading that fails changes nothing. The feed logs why."""
        if now < self._paused_until:
            self._copy.forget()
            return
        if now - self._copy.history.read_at > REREAD_AFTER_SECONDS:
            self._feed.begin_again()
        found = self._feed.read()
        if found.too_many or (not found.whole and len(self._ended) > MAX_ENDINGS):
            self._give_up(now)
        else:
            with self._changing:
                self._take(found, now)
            self._pass_on(found.ended)

    def _take(self, found: Endings, started: float) -> None:
        while self._added and self._added[0][0] < started:
            self._added.popleft()
        if found.whole:
            self._ended, self._readings = dict(found.ended), deque()
            for _, ended in self._added:  # this reading may not have seen them
                merge_entries(ended.items(), self._ended)
        else:
            merge_entries(found.ended.items(), self._ended)
        if found.ended:
            self._readings.append((started, found.ended))
        oldest = started - self._keep()
        while self._readings and self._readings[0][0] < oldest:
            for name, entry in self._readings.popleft()[1].items():
                if self._ended.get(name) == entry:  # not a later mark
                    del self._ended[name]

    def _give_up(self, now: float) -> None:
        logger.warning(
            "There are more than %d endings: no copy of them is kept for %.0f s.",
            MAX_ENDINGS,
            PAUSE_SECONDS,
            extra={"event": "endings_too_many"},
        )
        self._feed.begin_again()
        self._paused_until = now + PAUSE_SECONDS  # first: an entry removed below must not look like none
        with self._changing:
            self._ended, self._readings = {}, deque()
        self._copy.forget()

    def _after_fork(self) -> None:
        """Replace the lock that a thread of the parent may hold, and abandon the reading it was in.

        Whoever listens has stayed with the parent.
        """
        self._changing, self._listeners = Lock(), ()
        self._feed.begin_again()
        self._copy.forget()


@lru_cache(maxsize=8)
def _policy(lag: float) -> Policy:
    return Policy(
        renew_after=min(lag / 2, RENEW_AFTER_SECONDS),
        wait_after=lag,
        refuse_after=lag,
        rest=FIRST_REST_SECONDS,
        max_rest=MAX_REST_SECONDS,
    )
