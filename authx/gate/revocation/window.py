"""Which sessions have ended lately: what stores answer, and copies keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from authx.conf import conf
from authx.core.log_position import LONGEST_TRANSACTION

#: Seconds without a copy, after there were too many endings to keep.
PAUSE_SECONDS: Final = 60.0
#: More endings than this in a copy cost more memory than asking costs time; about 35 MB.
MAX_ENDINGS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Endings:
    """What one reading has found: the entries by name, as ``core.log_entries`` has them."""

    ended: Mapping[str, str]
    #: Where the next reading goes on.
    position: Any
    #: All that matter, rather than those since the last reading.
    whole: bool
    #: There were more than were asked for; the next reading brings them.
    more: bool = False

    @property
    def too_many(self) -> bool:
        """True if nobody should keep a copy of these. ``more`` counts, for some may come twice."""
        return self.more or len(self.ended) > MAX_ENDINGS


class Feed(Protocol):
    """Reads the endings, each time those since the last."""

    def read(self) -> Endings:
        """The endings committed before this call, as far as the last one has not brought them.

        Raises:
            StoreUnavailable: it cannot be known.
        """

    def begin_again(self) -> None:
        """Let the next reading be a whole one."""


def window() -> timedelta:
    """How long an ending matters: until no token of the session could be accepted any more.

    It was written up to one transaction before it took effect.
    """
    longest = timedelta(seconds=LONGEST_TRANSACTION)
    return conf.ACCESS_TOKEN_LIFETIME + 2 * conf.CLOCK_LEEWAY + longest
