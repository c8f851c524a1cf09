"""The three kinds of metrics, and who is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from authx.metrics import reporting
from authx.metrics.metric import Metric


class Counter(Metric):
    """How often something has happened."""

    __slots__ = ()

    def count(self, amount: int = 1, /, **labels: str) -> None:
        """Add ``amount``, after the commit of what is counted."""
        reporting.report("count", self, amount, labels)


class Level(Metric):
    """How many there are now."""

    __slots__ = ()

    def change(self, amount: int, /, **labels: str) -> None:
        """Add ``amount``, which may be negative."""
        reporting.report("change", self, amount, labels)


class Gauge(Metric):
    """A value that replaces the one before."""

    __slots__ = ()

    def set(self, value: float, /, **labels: str) -> None:
        """Set the value."""
        reporting.report("set", self, value, labels)


class Meter(Protocol):
    """What AUTHX_METRICS names: made once in each process, and called by all of its threads.

    Each method returns at once. ``labels`` are those that the metric declares, in that order.
    """

    def count(self, metric: Counter, amount: int, labels: Mapping[str, str]) -> None:
        """Add ``amount`` to a counter."""

    def change(self, metric: Level, amount: int, labels: Mapping[str, str]) -> None:
        """Add ``amount`` to how many there are now; it may be negative."""

    def set(self, metric: Gauge, value: float, labels: Mapping[str, str]) -> None:
        """Set a value."""
