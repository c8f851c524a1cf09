"""Owners by habit: when they are there, and what their client does with its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from benchmarks.rotation_simulation.network import Range
from benchmarks.rotation_simulation.server import DAY


@dataclass(frozen=True, slots=True)
class Habit:
    """Visits that last and lie apart so many seconds, and as many tabs as are opened at once."""

    lasting: Range
    apart: Range
    tabs: tuple[int, int]
    days: float  # simulated

    def visits(self, rng: Random, until: float) -> Iterator[tuple[float, float]]:
        """Begin and end of each visit; the first begins with the login."""
        begin = 0.0
        while begin < until:
            end = begin + rng.uniform(*self.lasting)
            yield begin, end
            begin = end + rng.uniform(*self.apart)


HABITS = {
    "all day": Habit(lasting=(90 * DAY, 90 * DAY), apart=(0, 0), tabs=(2, 12), days=0.5),
    "20-90 minutes": Habit(lasting=(1200, 5400), apart=(3600, 12 * 3600), tabs=(2, 12), days=3),
    "short visits": Habit(lasting=(30, 300), apart=(1800, DAY), tabs=(2, 6), days=7),
}


@dataclass(frozen=True, slots=True)
class Style:
    """What a client does with its tokens; shares of the pages loaded.

    ``has_timer``: each tab renews by itself before the access token expires. ``asks_issuer``: the issuer sees
    the access tokens; other services only verify them.
    """

    calls: float
    refreshes: float
    has_timer: bool = False
    asks_issuer: bool = True


STYLES = {
    "pages": Style(calls=0.6, refreshes=0.0),
    "pages, scripts": Style(calls=0.6, refreshes=0.25),
    "app": Style(calls=1.0, refreshes=0.0, has_timer=True),
    "app, elsewhere": Style(calls=1.0, refreshes=0.0, has_timer=True, asks_issuer=False),
    "elsewhere": Style(calls=1.0, refreshes=0.0, asks_issuer=False),
}
