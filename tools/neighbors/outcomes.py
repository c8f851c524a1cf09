"""What came of the runs, what differs, and what of it has a reason."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

HEADINGS = ("suite", "version", "tests", "failed without", "failed with", "differs")


@dataclass(frozen=True)
class Outcome:
    tests: int
    #: The names of the tests that failed, and what they said.
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    suite: str
    version: str
    without: Outcome
    beside: Outcome
    #: The names that docs/neighbors.md has a reason for.
    explained: frozenset[str] = frozenset()


def read(path: Path) -> Outcome:
    return Outcome(**json.loads(path.read_text()))


def differing(row: Row) -> list[str]:
    """Return the names of the tests that failed in one of the runs alone."""
    return sorted(row.without.failed.keys() ^ row.beside.failed.keys())


def unexplained(row: Row) -> list[str]:
    return [name for name in differing(row) if name not in row.explained]


def ghosts(row: Row) -> list[str]:
    """Return the names that have a reason, and do not differ."""
    return sorted(row.explained.difference(differing(row)))


def explained(page: str, suite: str) -> frozenset[str]:
    """Return the names in the lists under the heading of this suite, each in backticks."""
    sections = re.split(r"^## (.+)\n", page, flags=re.MULTILINE)
    section = dict(zip(sections[1::2], sections[2::2], strict=True)).get(suite, "")
    return frozenset(re.findall(r"^- `(.+)`$", section, re.MULTILINE))


def table(rows: list[Row]) -> str:
    """Write one line a suite, and under it the names that differ: each with what it said last."""
    lines = [HEADINGS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    shown = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
    text = [shown[0].rstrip()]
    for row, line in zip(rows, shown[1:], strict=True):
        text += [line.rstrip(), *(f"    {marked(row, name)}" for name in differing(row))]
    return "\n".join(text)


def cells(row: Row) -> tuple[str, ...]:
    counts = (row.beside.tests, len(row.without.failed), len(row.beside.failed))
    known, all_of_them = len(differing(row)) - len(unexplained(row)), len(differing(row))
    differs = f"{all_of_them}, {known} explained" if known else str(all_of_them)
    return (row.suite, row.version, *(str(count) for count in counts), differs)


def marked(row: Row, name: str) -> str:
    if name in row.explained:
        return f"{name} (explained)"
    if name in row.without.failed:
        return f"{name} (fails without authx alone)"
    said = row.beside.failed[name].strip().splitlines() or [""]
    return f"{name}\n        {said[-1][:150]}"
