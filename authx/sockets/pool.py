"""The few threads in which sockets ask: Django has one for all async code, which any slow call holds up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Final, TypeVar

from django.db import connections

from authx import clocks
from authx.errors import StoreUnavailable
from authx.gate.background import close_connections, start_thread

T = TypeVar("T")

MAX_THREADS: Final = 4
#: Seconds that a thread keeps its connections, whatever CONN_MAX_AGE says, and waits for work.
KEEP_SECONDS: Final = 60.0
#: Seconds that a client waits for an answer.
TIMEOUT_SECONDS: Final = 10.0


class Work:
    """A function to be called in a thread, and the answer that a task of an event loop waits for.

    Not a ``concurrent.futures.Future``: that has a lock and a condition of its own, and is copied to another
    one in the loop, which cost more than most of what is called.
    """

    __slots__ = ("_context", "_function", "answer", "loop")

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function, self._context = function, copy_context()
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()

    def __call__(self) -> None:
        """Call it, unless nobody waits any more."""
        if self.answer.done():
            return
        try:
            found = self._context.run(_twice, self._function)
        except BaseException as error:
            self._hand_over(None, error)
        else:
            self._hand_over(found, None)

    def give_up(self) -> None:
        """Wait no longer."""
        self._settle(None, StoreUnavailable("there has been no answer in time"))

    def _hand_over(self, found: Any, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed, and with it the socket
            self.loop.call_soon_threadsafe(self._settle, found, error)

    def _settle(self, found: Any, error: BaseException | None) -> None:
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(found)
        else:
            self.answer.set_exception(error)


class Pool:
    """Threads that are started when there is work, keep their database connections for a minute, and go."""

    def __init__(
        self,
        max_threads: int = MAX_THREADS,
        *,
        keep: float = KEEP_SECONDS,
        timeout: float = TIMEOUT_SECONDS,
        clock: Callable[[], float] = clocks.monotonic,
    ) -> None:
        self._max_threads, self._keep, self._timeout, self._clock = max_threads, keep, timeout, clock
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._threads = self._idle = 0
        self._lock = Lock()

    async def run(self, function: Callable[[], T]) -> T:
        """Return what ``function`` returns, called in one of the threads and in the context of the caller.

        Called twice where a connection that was kept may have been lost meanwhile.

        Raises:
            StoreUnavailable: it says so, or there is no answer in time.
        """
        work = Work(function)
        late = work.loop.call_later(self._timeout, work.give_up)
        try:
            self._begin(work)
            found: T = await work.answer
            return found
        finally:
            late.cancel()

    def close(self) -> None:
        """Let the threads go, with their connections; the next work starts new ones."""
        with self._lock:
            for _ in range(self._threads):
                self._work.put(None)

    def _begin(self, work: Work) -> None:
        with self._lock:
            starts = self._idle <= self._work.qsize() and self._threads < self._max_threads
            self._threads += starts
            self._work.put(work)
        if not starts:
            return
        try:
            start_thread(self._run)
        except StoreUnavailable:
            with self._lock:
                self._threads -= 1
                is_alone = not self._threads
            if is_alone:  # else another one does the work
                raise

    def _run(self) -> None:
        try:
            used_at = self._clock()
            while (work := self._next()) is not None:
                work()
                close_connections(pooled_alone=True)
                if self._clock() - used_at >= self._keep:
                    close_connections()
                    used_at = self._clock()
        finally:
            close_connections()

    def _next(self) -> Work | None:
        """Return the next work; None if this thread is to go."""
        with self._lock:
            self._idle += 1
        with suppress(Empty):
            return self._taken(self._work.get(timeout=self._keep))
        with self._lock:
            is_late = self._work.empty()  # else something has come in between
            if is_late:
                self._idle -= 1
                self._threads -= 1
        return None if is_late else self._taken(self._work.get())

    def _taken(self, work: Work | None) -> Work | None:
        with self._lock:
            self._idle -= 1
            self._threads -= work is None
        return work


def _twice(function: Callable[[], T]) -> T:
    """Call it; if the store does not answer on a connection that was kept, once more on a new one."""
    was_kept = any(found.connection is not None for found in connections.all(initialized_only=True))
    try:
        return function()
    except StoreUnavailable:
        close_connections()
        if not was_kept:
            raise
        return function()


async def run_in_pool(function: Callable[[], T]) -> T:
    """Return what ``function`` returns: see ``Pool.run``."""
    return await _pools[0].run(function)


def close_pool() -> None:
    """Let all threads go: see ``Pool.close``."""
    _pools[0].close()


#: The pool of this process.
_pools = [Pool()]


def _after_fork() -> None:
    _pools[0] = Pool()  # the threads have stayed with the parent


os.register_at_fork(after_in_child=_after_fork)
