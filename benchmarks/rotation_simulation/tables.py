"""Outcomes as lines of Markdown tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from math import ceil
from statistics import median

from benchmarks.rotation_simulation.history import Case
from benchmarks.rotation_simulation.outcome import Outcome
from benchmarks.rotation_simulation.server import DAY

MINUTE, HOUR = 60.0, 3600.0
Outcomes = dict[Case, list[Outcome]]


def markdown(head: list[str], lines: Iterable[list[str]], *, words: int) -> str:
    """A table whose first columns are words and the others numbers."""
    rule = [*["---"] * words, *["---:"] * (len(head) - words)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *lines])


def grouped(outcomes: Outcomes, key: Callable[[Case], object]) -> dict[object, list[Outcome]]:
    """Put the outcomes of all cases with the same key together."""
    groups: dict[object, list[Outcome]] = {}
    for case, found in outcomes.items():
        groups.setdefault(key(case), []).extend(found)
    return groups


def duration(seconds: float) -> str:
    for name, size in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.0f} s"


def false_endings(outcomes: list[Outcome]) -> str:
    """Of a hundred sessions."""
    return f"{100 * sum(outcome.is_false_ending for outcome in outcomes) / len(outcomes):.3g}"


def found(outcomes: list[Outcome]) -> str:
    robbed = [outcome for outcome in outcomes if outcome.is_robbed]
    return f"{100 * sum(outcome.is_found for outcome in robbed) / len(robbed):.0f} %" if robbed else "-"


def served(outcomes: list[Outcome]) -> str:
    """Median, 95th percentile and most, in hours."""
    hours = sorted(outcome.served / HOUR for outcome in outcomes if outcome.is_robbed)
    if not hours:
        return "-"
    return " / ".join(
        f"{value:.2f}" for value in (median(hours), hours[ceil(0.95 * len(hours)) - 1], hours[-1])
    )


def shared(outcomes: list[Outcome]) -> int:
    """The last generation that owner and thief both were served in, counted from the copied one."""
    return max((max(outcome.shared, default=0) for outcome in outcomes), default=0)


def ended_by(outcomes: list[Outcome]) -> str:
    """The transitions that ended it, most frequent first."""
    rows = Counter(outcome.ended_by for outcome in outcomes if outcome.is_found)
    return ", ".join(f"{row} {100 * number / rows.total():.0f} %" for row, number in rows.most_common(3))
