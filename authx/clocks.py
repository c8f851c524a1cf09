"""This process's clocks, read here alone, so that ``authx.testing.clock`` can move them together.

Django's ``timezone.now`` and the database's clock it moves where they are. What judges takes the time as an
argument: only what acts reads a clock.
"""

from __future__ import annotations

import time as _system

#: How far tests have moved them ahead of the system's, in seconds; 0 in a running site.
_ahead = _ahead_monotonic = 0.0


def time() -> float:
    """Return the seconds since the epoch."""
    return _system.time() + _ahead


def monotonic() -> float:
    """Return the seconds of a clock that is never put back, from an arbitrary start."""
    return _system.monotonic() + _ahead_monotonic


def ahead() -> float:
    """Return the seconds by which ``time`` is ahead of the system's clock."""
    return _ahead


def move(to: float) -> None:
    """Let ``time`` be so many seconds ahead of the system's clock; for tests alone."""
    global _ahead, _ahead_monotonic
    _ahead_monotonic += max(0.0, to - _ahead)
    _ahead = to
