"""The recent endings: what stores return, and copies keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from authx.conf import conf
from authx.core.log_position import MAX_TRANSACTION_SECONDS

#: Seconds without a copy, after there were too many endings to keep.
PAUSE_SECONDS: Final = 60.0
#: Most endings in a copy, about 35 MB; more would cost too much memory for the time they save.
MAX_ENDINGS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Endings:
    """What one reading has found: the entries by name, as in ``core.revocation_log``."""

    ended: Mapping[str, str]
    #: Where the next reading continues.
    position: Any
    #: True if these are all that matter, rather than those since the last reading.
    whole: bool
    #: True if there were more than were asked for; the next reading brings them.
    more: bool = False

    @property
    def too_many(self) -> bool:
        """Return whether these are too many for a copy. ``more`` counts, as some may come twice."""
        return self.more or len(self.ended) > MAX_ENDINGS


class Feed(Protocol):
    """Reads the endings, each time those since the last."""

    def read(self) -> Endings:
        """Return the endings that were committed before this call and not returned by the last one.

        Raises:
            StoreUnavailable: it cannot be known.
        """

    def begin_again(self) -> None:
        """Make the next reading a whole one."""


def window() -> timedelta:
    """Return how long an ending matters: until no token of the session can be accepted any more.

    An ending is written up to one transaction before it takes effect.
    """
    longest = timedelta(seconds=MAX_TRANSACTION_SECONDS)
    return conf.ACCESS_TOKEN_LIFETIME + 2 * conf.CLOCK_LEEWAY + longest
