"""The feed of a local copy where Redis is the store."""

from __future__ import annotations

from typing import Any, Final, Protocol

from authx.core import revocation_log
from authx.errors import StoreUnavailable
from authx.gate.revocation.redis_connection import text
from authx.gate.revocation.window import Endings, Feed

#: The position of a feed that has read nothing.
_NOWHERE: Final = ("", 0, "")


class Numbered(Protocol):
    """A store that has the endings by the numbers under which they arrived."""

    def since(self, epoch: str, number: int, line: str) -> Any:
        """Return the answer of ``redis_scripts.SINCE``, without the lease.

        Raises:
            StoreUnavailable: Redis does not answer, or no worker has read the log lately.
        """


class RedisFeed:
    """The endings in the order they arrived in Redis; from the log itself where Redis does not know."""

    def __init__(self, store: Numbered, log: Feed) -> None:
        self._store, self._log = store, log
        #: The epoch, the last number read in it, and the line that was there.
        self._epoch, self._number, self._line = _NOWHERE

    def read(self) -> Endings:
        """Return what is new in Redis, or in the log where Redis does not know.

        Raises:
            StoreUnavailable: neither can be read.
        """
        try:
            found = self._read_redis()
        except (StoreUnavailable, ValueError):  # unknown, or not as we write it
            self._epoch, self._number, self._line = _NOWHERE  # the log does not know the numbers in Redis
            return self._log.read()
        self._log.begin_again()
        return found

    def begin_again(self) -> None:
        """Make the next reading a whole one, of either."""
        self._epoch, self._number, self._line = _NOWHERE
        self._log.begin_again()

    def _read_redis(self) -> Endings:
        ended: dict[str, str] = {}
        epoch, number, line, whole = self._epoch, self._number, self._line, False
        while True:
            answer = self._store.since(epoch, number, line)
            epoch, anew, number, last = text(answer[0]), *map(int, answer[1:4])
            if anew:
                ended, line, whole = {}, "", True
            lines = [text(part) for part in answer[4:]]
            parts = (part.split(" ", 2) for part in lines if part)
            revocation_log.merge_entries(((name, entry) for _at, entry, name in parts), ended)
            line = lines[-1] if lines else line
            if number >= last:
                break
        self._epoch, self._number, self._line = epoch, number, line
        return Endings(ended, number, whole)
