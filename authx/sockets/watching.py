"""The watch over what is open in an event loop: every socket hears of the end of its session and its token.

A socket is watched before its token is checked, so that no ending is lost between the two. All of it runs in
the loop, without locks: the endings are read in a thread, and come by ``call_soon_threadsafe``.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final
from weakref import WeakValueDictionary

from authx import clocks
from authx.conf import conf
from authx.core.claims import AccessClaims
from authx.core.revocation_log import name_of_key, names_for_token
from authx.errors import AuthxError, StoreUnavailable, TokenExpired, TooManySockets
from authx.gate.revocation.following import INTERVAL_SECONDS, Follower, follower
from authx.sockets.watches import Watch, Watches

logger = logging.getLogger("authx")

#: Seconds between two looks at which tokens have expired, and whether the endings are still read.
TICK_SECONDS: Final = INTERVAL_SECONDS
#: Seconds between two questions about all sessions, while there are too many endings to follow them.
ASK_SECONDS: Final = 5.0
#: Sessions in one question.
SESSIONS_PER_QUESTION: Final = 500

#: Asks the store about sessions, by ``sid``, and keys, by ``kid``: what the log would say of them.
Ask = Callable[[Collection[str], Collection[str]], Awaitable[Mapping[str, str]]]


class Watcher:
    """Everything that is open in one event loop, for the sessions of one database."""

    def __init__(
        self,
        follower: Follower | None,
        *,
        now: Callable[[], float] = clocks.time,
        clock: Callable[[], float] = clocks.monotonic,
        ask: Ask | None = None,
    ) -> None:
        """Watch by ``follower``; None where nobody reports endings, and only expiry closes.

        ``now`` returns seconds since the epoch, ``clock`` monotonic seconds: those of ``follower``.
        """
        self._loop = asyncio.get_running_loop()
        self._follower, self._now, self._clock, self._ask = follower, now, clock, ask
        self.watches = Watches()
        self._follows = False
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None
        #: When the store was last asked about all of them, while they could not be followed.
        self._asked_at = -math.inf

    def watch(
        self, claims: AccessClaims, end: Callable[[AuthxError], None], *, until_expiry: bool = True
    ) -> Watch:
        """Watch over a socket from now on; ``end`` is called once, in this loop, if it must close.

        Raises:
            TooManySockets: its session has as many as it may have.
            StoreUnavailable: the endings cannot be read.
        """
        if self.watches.count(claims.sid) >= conf.SOCKETS_PER_SESSION:
            raise TooManySockets("the session has as many connections open as it may have")
        if not self.watches:
            self._begin()
        if self.is_blind:
            raise StoreUnavailable("the endings have not been read lately enough")
        watch = Watch(claims, end)
        self.watches.put(watch, names_for_token(claims), _expiry(claims) if until_expiry else None)
        return watch

    def watch_key(self, watch: Watch, kid: str) -> None:
        """Watch over the key of another token too, before that one is checked to take this one's place."""
        if watch in self.watches:
            self.watches.put(watch, (*{*watch.names, name_of_key(kid)},), watch.expires_at)

    def renew(self, watch: Watch, claims: AccessClaims) -> None:
        """Let a socket live on as long as another token of its session."""
        if watch in self.watches:
            watch.claims = claims
            self.watches.put(watch, names_for_token(claims), _expiry(claims))

    def forget(self, watch: Watch) -> None:
        """Watch over it no longer: it is closed."""
        self.watches.take_out(watch)
        if not self.watches:
            self._finish()

    @property
    def is_blind(self) -> bool:
        """Return whether it cannot be known any more what has ended."""
        if self._follower is None:
            return False
        seen_at = max(self._asked_at, self._follower.read_at)
        return self._clock() - seen_at > self._follower.interval + conf.SOCKET_BLIND.total_seconds()

    def look(self) -> None:
        """Close what has expired; everything, where it cannot be known any more what has ended."""
        self._end_all(self.watches.expired(self._now()), TokenExpired("the token has expired"))
        if self.is_blind:
            if self.watches:
                logger.warning(
                    "The endings could not be read: %d sockets are closed.",
                    len(self.watches),
                    extra={"event": "sockets_blind"},
                )
            self._end_all(self.watches, StoreUnavailable("the endings have not been read lately enough"))
        elif self._follower is not None and self._follower.is_paused:
            self._ask_in_time()

    def deliver(self, entries: Mapping[str, str]) -> None:
        """Close what these entries of the log end."""
        for watch, error in self.watches.ended_by(entries):
            self._end(watch, error)

    def hear(self, entries: Mapping[str, str]) -> None:
        """Take the endings that any thread has read or made over to the loop."""
        try:
            self._loop.call_soon_threadsafe(self.deliver, entries)
        except RuntimeError:  # the loop is closed, and with it everything that was open
            self._unfollow()

    def _begin(self) -> None:
        if self._follower is not None and not self._follows:
            self._follower.add(self.hear)
            self._follows = True
        self._timer = self._timer or self._loop.call_later(TICK_SECONDS, self._tick)

    def _finish(self) -> None:
        self._unfollow()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _unfollow(self) -> None:
        if self._follower is not None and self._follows:
            self._follows = False
            self._follower.remove(self.hear)

    def _tick(self) -> None:
        if not self.watches:
            return self._finish()
        self._timer = self._loop.call_later(TICK_SECONDS, self._tick)
        self.look()

    def _ask_in_time(self) -> None:
        is_asking = self._asking is not None and not self._asking.done()
        if self._ask is not None and not is_asking and self._clock() - self._asked_at >= ASK_SECONDS:
            self._asking = self._loop.create_task(self._ask_about_all(self._ask))

    async def _ask_about_all(self, ask: Ask) -> None:
        started = self._clock()
        of = [watch.claims for watch in self.watches]
        try:
            for first in range(0, len(of), SESSIONS_PER_QUESTION):
                some = of[first : first + SESSIONS_PER_QUESTION]
                self.deliver(await ask({each.sid for each in some}, {each.kid for each in some}))
        except StoreUnavailable:
            return  # ``is_blind`` will show it
        self._asked_at = started

    def _end(self, watch: Watch, error: AuthxError) -> None:
        self.forget(watch)
        watch.end(error)

    def _end_all(self, watches: Iterable[Watch], error: AuthxError) -> None:
        for watch in watches:
            self._end(watch, error)


def _expiry(claims: AccessClaims) -> int:
    """Return when the gate refuses the token; at ``exp`` it would let the client in again."""
    return math.ceil(claims.exp + conf.CLOCK_LEEWAY.total_seconds())


#: By event loop and by whom they follow; those of which something is open.
_watchers: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, Follower | None], Watcher] = (
    WeakValueDictionary()
)


def watcher_here(ask: Ask | None) -> Watcher:
    """Return the watcher of this event loop and of the current database."""
    key = asyncio.get_running_loop(), follower()
    found = _watchers.get(key)
    if found is None:
        found = _watchers[key] = Watcher(key[1], ask=ask)
    return found
