"""The few threads in which sockets ask: Django has one for all async code, which any slow call holds up."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Final, TypeVar

from django.db import connections

from authx.errors import StoreUnavailable
from authx.gate.background import close_connections, start_thread

T = TypeVar("T")

MAX_THREADS: Final = 4
#: Seconds that a thread keeps its connections, whatever CONN_MAX_AGE says, and waits for work.
KEEP_SECONDS: Final = 60.0
#: Seconds that a client waits for an answer.
TIMEOUT_SECONDS: Final = 10.0


class Pool:
    """Threads that are started when there is work, keep their database connections for a minute, and go."""

    def __init__(
        self,
        max_threads: int = MAX_THREADS,
        *,
        keep: float = KEEP_SECONDS,
        timeout: float = TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_threads, self._keep, self._timeout, self._clock = max_threads, keep, timeout, clock
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = self._idle = 0
        self._lock = Lock()

    async def run(self, function: Callable[[], T]) -> T:
        """Return what ``function`` returns, called in one of the threads and in the context of the caller.

        Called twice where a connection that was kept may have been lost meanwhile.

        Raises:
            StoreUnavailable: it says so, or there is no answer in time.
        """
        future: Future[T] = Future()
        context = copy_context()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(context.run(_twice, function))
            except BaseException as error:
                future.set_exception(error)

        self._begin(work)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._timeout)
        except TimeoutError:
            raise StoreUnavailable("there has been no answer in time") from None

    def close(self) -> None:
        """Let the threads go, with their connections; the next work starts new ones."""
        with self._lock:
            for _ in range(self._threads):
                self._work.put(None)

    def _begin(self, work: Callable[[], None]) -> None:
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

    def _next(self) -> Callable[[], None] | None:
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

    def _taken(self, work: Callable[[], None] | None) -> Callable[[], None] | None:
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
