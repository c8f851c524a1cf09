"""Tables in Markdown, and the surroundings in which their figures were measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import median

PACKAGES = (
    "Django",
    "djangorestframework",
    "djangorestframework-simplejwt",
    "django-rest-knox",
    "django-allauth",
    "django-oauth-toolkit",
    "django-user-sessions",
    "psycopg",
)


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def head(*cells: str, left: int = 1) -> str:
    return row(*cells) + "\n" + row(*["---"] * left, *["---:"] * (len(cells) - left))


def table(titles: Sequence[str], lines: Iterable[Sequence[object]], left: int = 1) -> str:
    return "\n".join([head(*titles, left=left), *(row(*line) for line in lines)])


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median of several runs, and the least and the greatest in brackets."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def verdict(is_met: bool) -> str:
    return "met" if is_met else "MISSED"


def surroundings(database: str) -> str:
    """What the figures hold for: database, versions, machine and its load, in one line."""
    named = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"{database}; Python {platform.python_version()}, {os.cpu_count()} cores, load {load}; {named}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
