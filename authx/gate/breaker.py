"""A circuit breaker: after a failure there are no calls for a while, then one caller tries."""

from __future__ import annotations

from collections.abc import Callable

from authx import clocks, metrics

#: Seconds: the first pause, and the longest; each failure in a row doubles it.
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 16.0
#: Seconds that one caller has for a trial before another may try.
TRIAL_SECONDS = 0.5


class Breaker:
    """Closed while calls succeed; one per process and kind of work. Lock-free: at worst two try at once."""

    def __init__(
        self,
        clock: Callable[[], float] = clocks.monotonic,
        *,
        first: float = FIRST_PAUSE_SECONDS,
        longest: float = MAX_PAUSE_SECONDS,
        name: str = "",
    ) -> None:
        """Start closed; ``first`` and ``longest`` are the first and the longest pause, in seconds.

        ``name`` is that of ``metrics.BREAKER_OPEN``.
        """
        self._clock, self._first, self._longest = clock, first, longest
        self._name = name
        self._open_until: float | None = None
        self._pause = 0.0

    @property
    def is_closed(self) -> bool:
        """Return whether calls pass freely; False from a failure until the next success."""
        return self._open_until is None

    @property
    def is_due(self) -> bool:
        """Return whether ``allows`` would allow a try now."""
        open_until = self._open_until  # another thread may close it meanwhile
        return open_until is None or self._clock() >= open_until

    def allows(self) -> bool:
        """Return whether the caller may try; it must then call ``worked`` or ``failed``."""
        if not self.is_due:
            return False
        if self._open_until is not None:
            self._open_until = self._clock() + TRIAL_SECONDS
        return True

    def failed(self) -> None:
        """Open, for twice as long as the last time: a call has failed."""
        metrics.BREAKER_OPEN.set(1, breaker=self._name)  # first: whoever closes it meanwhile sets 0 after
        self._pause = min(self._pause * 2 or self._first, self._longest)
        self._open_until = self._clock() + self._pause

    def worked(self) -> None:
        """Close: a call has succeeded."""
        if self._open_until is not None:
            metrics.BREAKER_OPEN.set(0, breaker=self._name)
        self._open_until, self._pause = None, 0.0
