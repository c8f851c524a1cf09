"""What happens when, in the order of time."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any


class Timeline:
    """A clock and an agenda; what is due at the same instant happens in the order of its entry."""

    def __init__(self) -> None:
        self.now = 0.0
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()

    def at(self, when: float, action: Callable[..., None], *arguments: Any) -> None:
        heappush(self._agenda, (when, next(self._numbers), action, arguments))

    def after(self, seconds: float, action: Callable[..., None], *arguments: Any) -> None:
        self.at(self.now + seconds, action, *arguments)

    def run(self, until: float, is_over: Callable[[], bool]) -> None:
        while self._agenda and self._agenda[0][0] < until and not is_over():
            self.now, _, action, arguments = heappop(self._agenda)
            action(*arguments)
