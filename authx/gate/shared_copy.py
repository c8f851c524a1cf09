"""A process's copy of data that is kept elsewhere: renewed by one thread for all."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from weakref import WeakMethod, WeakSet

from django.core.signals import setting_changed

from authx import clocks, metrics
from authx.core.freshness import History, Policy, Verdict, is_usable, is_within, judge
from authx.errors import StoreUnavailable
from authx.gate.background import RunInBackground


class SharedCopy:
    """Decides when to read again, and has one thread read for all; its owner keeps the data."""

    def __init__(
        self,
        read: Callable[[float], None],
        *,
        clock: Callable[[], float] = clocks.monotonic,
        run_in_background: RunInBackground | None = None,
        after_fork: Callable[[], None] | None = None,
        name: str = "",
    ) -> None:
        """Renew the copy with ``read``, a method of the owner that keeps what it finds.

        ``read`` receives its start time. It raises StoreUnavailable where there is nothing new, and leaves
        everything as it was.
        ``run_in_background`` runs the readings that no caller has to wait for; without it, the caller that
        finds one due reads. ``after_fork``, another method, is called in a forked process, without the
        parent's threads. ``name`` is that of ``metrics.COPY_READINGS``.
        """
        self._clock, self._run_in_background, self._name = clock, run_in_background, name
        # Weakly: in a circle with its owner, the owner's connections would wait for the garbage collector.
        self._read = WeakMethod(read)
        self._on_fork = WeakMethod(after_fork) if after_fork else None
        #: Replaced as a whole, with the lock held, once the data that was read is in place.
        self.history = History()
        #: Held while reading.
        self.lock = Lock()
        _copies.add(self)

    def ensure_fresh(
        self,
        policy: Policy,
        *,
        asked_at: float | None = None,
        is_missing: Callable[[], bool] | None = None,
    ) -> bool:
        """Renew the copy if that is due; return whether it may be used.

        ``is_missing`` returns whether the copy still lacks what a caller needs: then it is renewed, however
        fresh, unless a reading has started since ``asked_at``.
        """
        history = self.history  # before the clock: no reading may seem to come from the future
        now = self._clock()
        if is_missing is None and 0 <= now - history.read_at <= policy.renew_after:
            return True  # what ``judge`` mostly says, without a call
        verdict = judge(history, policy, now, is_missing=is_missing is not None)
        if verdict is Verdict.USE or verdict is Verdict.REFUSE:
            return verdict is Verdict.USE
        asked_at = now if asked_at is None else asked_at
        self._renew(policy, asked_at, is_missing, waits=verdict is Verdict.WAIT)
        return is_usable(self.history, policy, self._clock(), asked_at=asked_at)

    def is_fresh(self, policy: Policy) -> bool:
        """Return whether ``ensure_fresh`` would use the copy as it is."""
        return judge(self.history, policy, self._clock()) is Verdict.USE

    def reload(self) -> None:
        """Read now, whatever the policy: the data has just been changed elsewhere."""
        with self.lock:
            self._try(self._clock())

    def forget(self) -> None:
        """Make the copy unusable until it has been read again. ``read`` may call this itself."""
        self.history = History()

    def _renew(
        self, policy: Policy, asked_at: float, is_missing: Callable[[], bool] | None, *, waits: bool
    ) -> None:
        def renew() -> None:
            try:
                if self._is_due(policy, asked_at, is_missing, has_waited=waits):
                    self._try(self._clock())
            finally:
                self.lock.release()

        if not self.lock.acquire(blocking=waits):
            return  # another thread reads
        if waits or self._run_in_background is None:
            renew()
        else:
            self._run_in_background(renew)

    def _is_due(
        self, policy: Policy, asked_at: float, is_missing: Callable[[], bool] | None, *, has_waited: bool
    ) -> bool:
        """Return whether a reading is still needed, now that the lock is held."""
        now, history = self._clock(), self.history
        if is_missing is not None and not is_missing():
            return False
        if has_waited and is_within(now, history.failed_at, policy.failing_for):
            return False  # the reading that we have waited for has failed
        if judge(history, policy, now, is_missing=is_missing is not None) in {Verdict.USE, Verdict.REFUSE}:
            return False
        if is_missing is not None:
            self.history = history.missed(now)
        return not asked_at <= history.read_at <= now

    def _try(self, now: float) -> None:
        """Read, with the lock held."""
        self.history = self.history.started(now)
        try:
            if read := self._read():  # else the owner was dropped while this waited for a thread
                read(now)
        except StoreUnavailable:
            self.history = self.history.failed(self._clock())
            metrics.COPY_READINGS.count(copy=self._name, outcome="failed")
        except BaseException:
            self.history = self.history.abandoned()
            raise
        else:
            if self.history.is_trying:  # else it was forgotten meanwhile
                self.history = self.history.succeeded()
                self._count_reading(now)

    def _count_reading(self, started: float) -> None:
        metrics.COPY_READINGS.count(copy=self._name, outcome="read")
        if metrics.is_on():
            metrics.COPY_READ_AT.set(clocks.time() - (self._clock() - started), copy=self._name)

    def after_fork(self) -> None:
        """Replace the lock that a thread of the parent may hold, and abandon the reading it was in."""
        self.lock = Lock()
        self.history = self.history.abandoned()
        if self._on_fork and (on_fork := self._on_fork()):
            on_fork()


def drop_on_change(drop: Callable[[], object], *settings: str) -> None:
    """Call ``drop`` whenever one of ``settings`` has changed."""

    def changed(*, setting: str, **kwargs: object) -> None:
        if setting in settings:
            drop()

    setting_changed.connect(changed, weak=False)


#: All copies, to reset them in a forked process.
_copies: WeakSet[SharedCopy] = WeakSet()


def _after_fork() -> None:
    for copy in list(_copies):
        copy.after_fork()


os.register_at_fork(after_in_child=_after_fork)
