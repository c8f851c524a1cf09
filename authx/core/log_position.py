"""How far a log has been read whose numbers are assigned in order and committed in any order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

#: Seconds. A transaction that has taken a number and not committed by then never will.
MAX_TRANSACTION_SECONDS: Final = 3600.0
#: Most gaps that are watched one by one; more are joined, which reads some rows again and misses none.
MAX_GAPS: Final = 200


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers from ``first`` to ``last`` that were missing at ``since`` (seconds), and may yet appear."""

    first: int
    last: int
    since: float


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Everything up to number ``last`` has been read, except for what was missing then.

    A transaction that takes a number early and commits late leaves a gap behind, which is watched until the
    longest transaction allowed is over. The order of commits does not matter, and nothing is read twice.
    """

    last: int = 0
    #: What identifies the row at ``last``; if it differs, this is not the log we have read.
    mark: str = ""
    gaps: tuple[Gap, ...] = ()

    def advanced(self, rows: Iterable[tuple[int, str]], now: float) -> LogPosition:
        """Return the position after reading ``rows``, ascending: all in the gaps and beyond ``last``."""
        found = list(rows)
        numbers = [number for number, _mark in found]
        gaps = [gap for gap in self.gaps if now - gap.since < MAX_TRANSACTION_SECONDS]
        gaps = [part for gap in gaps for part in _without(gap, numbers)]
        last, mark = self.last, self.mark
        for number, text in found:
            if number > last:
                if number > last + 1:
                    gaps.append(Gap(last + 1, number - 1, now))
                last, mark = number, text
        return replace(self, last=last, mark=mark, gaps=tuple(_few(gaps)))

    def as_json(self) -> list[Any]:
        """Return the position as JSON data, for ``from_json``."""
        return [self.last, self.mark, [[gap.first, gap.last, gap.since] for gap in self.gaps]]

    @classmethod
    def from_json(cls, value: Any) -> LogPosition:
        """Read what ``as_json`` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            last, mark, gaps = value
            watched = tuple(Gap(_number(first), _number(end), float(at)) for first, end, at in gaps)
            found = cls(_number(last), str(mark), watched)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError("not a position in a log") from error
        if len(watched) > MAX_GAPS:
            raise ValueError("not a position in a log: too many gaps")
        return found


def _number(value: Any) -> int:
    """Check that the log can have assigned this number: it comes from outside and goes into a statement."""
    number = int(value)
    if not 0 <= number < 1 << 63:
        raise ValueError("no line has this number")
    return number


def _without(gap: Gap, numbers: Iterable[int]) -> Iterator[Gap]:
    """Yield what is left of a gap when ``numbers``, ascending, have appeared."""
    first = gap.first
    for number in numbers:
        if gap.first <= number <= gap.last:
            if number > first:
                yield Gap(first, number - 1, gap.since)
            first = number + 1
    if first <= gap.last:
        yield Gap(first, gap.last, gap.since)


def _few(gaps: list[Gap]) -> list[Gap]:
    """Join neighboring gaps until there are few enough to ask for in one statement."""
    gaps = sorted(gaps, key=lambda gap: gap.first)
    while len(gaps) > MAX_GAPS:
        gaps = [_joined(gaps[start : start + 2]) for start in range(0, len(gaps), 2)]
    return gaps


def _joined(pair: list[Gap]) -> Gap:
    return Gap(pair[0].first, pair[-1].last, max(gap.since for gap in pair))
