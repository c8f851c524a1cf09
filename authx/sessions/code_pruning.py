"""Deleting authorization codes that nobody will ask about any more."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from threading import Lock
from typing import Final

from authx import clocks
from authx.models import AuthorizationCode
from authx.store import database
from authx.store.batches import delete_in_batches

#: How long a code is kept after its time: until then, a spent one that comes back is noticed (C6).
_KEEP: Final = timedelta(days=1)
#: Seconds between two times that one process deletes old codes by itself.
INTERVAL: Final = 3600.0
#: How many rows it deletes then, and how often: a request waits for it.
_BATCH: Final = 500
_BATCHES: Final = 10


def prune_codes(batch: int, *, now: datetime | None = None) -> Iterator[int]:
    """Delete codes that expired more than a day ago, spent or not; yield how many each time."""
    before = (now or database.database_now()) - _KEEP
    old = AuthorizationCode.objects.using(database.alias()).filter(expires_at__lt=before)
    return delete_in_batches(old, batch, by="expires_at")


class Tidying:
    """Lets a process that issues codes delete old ones once an hour, where nobody runs ``authx_prune``."""

    def __init__(self, clock: Callable[[], float] = clocks.monotonic) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Begin the hour anew; also called in a forked process, where the parent's lock may be held."""
        self._lock = Lock()
        self._last = self._clock()

    def after_commit(self, now: datetime | None = None) -> None:
        """Delete codes that are old by ``now``, after this transaction, if the hour is over."""
        with self._lock:
            if self._clock() - self._last < INTERVAL:
                return
            self._last = self._clock()
        database.after_commit(lambda: deque(islice(prune_codes(_BATCH, now=now), _BATCHES), 0))


tidying = Tidying()
os.register_at_fork(after_in_child=tidying.forget)
