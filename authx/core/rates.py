"""How often something may happen: a number of times in a period."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RATE = re.compile(r"([1-9]\d{0,8})/(s|sec|second|m|min|minute|h|hour|d|day)")
_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``limit`` times in ``period`` seconds."""

    limit: int
    period: int

    @classmethod
    def read(cls, text: str) -> Rate:
        """Read ``"10/min"`` as 10 times in 60 seconds.

        Raises:
            ValueError: it is not a rate.
        """
        matched = _RATE.fullmatch(text)
        if matched is None:
            raise ValueError(f"not a rate: {text!r}")
        return cls(int(matched[1]), _PERIODS[matched[2][0]])
