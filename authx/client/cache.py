"""Tokens that this process has fetched: kept until shortly before they end, fetched once for all threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, field
from threading import Lock
from typing import Final
from weakref import WeakSet

from django.views.decorators.debug import sensitive_variables

from authx import clocks
from authx.errors import AuthxError, StoreUnavailable

#: Tokens kept by one process; about 2 KB each.
MAX_TOKENS: Final = 2000
#: A token is not used in its last seconds, which are needed for calls with it; of a short life, a quarter.
SPARE_SECONDS: Final = 30.0
#: Seconds that a thread waits for one that fetches: a little more than that may take.
WAIT_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Issued:
    """A token as the issuer gave it; ``expires_in`` is seconds, None where it may not be kept."""

    text: str = field(repr=False)
    expires_in: int | None


@dataclass(frozen=True, slots=True)
class _Kept:
    text: str = field(repr=False)
    #: Seconds of the cache's clock.
    until: float


class TokenCache:
    """Tokens by the digest of what they were asked for with; no key of it reveals a token."""

    def __init__(
        self, max_tokens: int = MAX_TOKENS, *, clock: Callable[[], float] = clocks.monotonic
    ) -> None:
        self.max_tokens, self._clock = max_tokens, clock
        self._kept: dict[bytes, _Kept] = {}
        self._flights: dict[bytes, Future[str]] = {}
        self._lock = Lock()
        _caches.add(self)

    def __len__(self) -> int:
        return len(self._kept)

    @sensitive_variables()
    def get(self, key: bytes, fetch: Callable[[], Issued], *, fresh: bool = False) -> str:
        """Return the token kept under ``key``, or what ``fetch`` returns; ``fresh``: not one from before.

        Raises:
            AuthxError: that of ``fetch``; each thread that has waited gets it.
            StoreUnavailable: the thread that fetches has failed otherwise, or takes too long.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and not fresh and self._clock() < kept.until:
                return kept.text
            under_way = self._flights.get(key)
            flight: Future[str] = under_way or self._flights.setdefault(key, Future())
        return _wait(flight) if under_way else self._fetch(key, fetch, flight)

    @sensitive_variables()
    def _fetch(self, key: bytes, fetch: Callable[[], Issued], flight: Future[str]) -> str:
        started = self._clock()
        try:
            issued = fetch()
            self._keep(key, issued, started)
        except BaseException as error:
            flight.set_exception(error)
            raise
        finally:
            with self._lock:
                self._flights.pop(key, None)
        flight.set_result(issued.text)
        return issued.text

    def _keep(self, key: bytes, issued: Issued, started: float) -> None:
        """Keep a token, whose life began no earlier than its request; the oldest ones make room."""
        if issued.expires_in is None:
            return
        until = started + issued.expires_in - min(SPARE_SECONDS, issued.expires_in / 4)
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = _Kept(issued.text, until)
            if len(self._kept) > self.max_tokens:
                now = self._clock()
                self._kept = {name: kept for name, kept in self._kept.items() if now < kept.until}
            while len(self._kept) > self.max_tokens:
                del self._kept[next(iter(self._kept))]

    def clear(self) -> None:
        """Forget all tokens, and replace the lock: after a fork, a thread of the parent may hold it."""
        self._lock = Lock()
        self._kept, self._flights = {}, {}


def _wait(flight: Future[str]) -> str:
    try:
        return flight.result(WAIT_SECONDS)
    except AuthxError:
        raise
    except NotInTime:
        raise StoreUnavailable("another thread fetches the token, and has not got it in time") from None
    except BaseException as error:
        if not flight.done():
            raise  # this thread was interrupted, and not the other one
        raise StoreUnavailable("another thread was to fetch the token, and has failed") from error


#: All caches, to reset them in a forked process.
_caches: WeakSet[TokenCache] = WeakSet()


def _after_fork() -> None:
    for cache in list(_caches):
        cache.clear()


os.register_at_fork(after_in_child=_after_fork)
