"""Counts what a call asks of the database: statements, transaction control, rows written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: What opens, closes and marks transactions; django does some of it without a statement of its own.
CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
WRITES = ("INSERT", "UPDATE", "DELETE")
#: Read at every page of any site with Django's sessions; not the authorization server's.
NOT_ITS_OWN = "SELECT django_session"


@dataclass(frozen=True)
class Count:
    """Of one call; ``rows`` are those inserted, updated or deleted."""

    statements: int
    control: int
    rows: int
    #: Verb and table of each statement.
    kinds: tuple[str, ...]


def counting(call: Callable[[Any], Any], asked: list[Any]) -> tuple[list[Count], list[Any]]:
    counts, answers = [], []
    for one in asked:
        count, answer = _count(call, one)
        counts.append(count)
        answers.append(answer)
    return counts, answers


def _count(call: Callable[[Any], Any], asked: Any) -> tuple[Count, Any]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    rows = 0

    def note(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        nonlocal rows
        result = execute(sql, params, many, context)
        if sql.startswith(WRITES):
            # SQLite does not know how many rows an INSERT that returns one has written.
            found = context["cursor"].rowcount
            rows += found if found > 0 or not sql.startswith("INSERT") else 1
        return result

    with connection.execute_wrapper(note), CaptureQueriesContext(connection) as captured:
        answer = call(asked)
    every = [kind_of(query["sql"]) for query in captured.captured_queries]
    own = tuple(kind for kind in every if not kind.startswith((*CONTROL, NOT_ITS_OWN)))
    control = sum(kind.startswith(CONTROL) for kind in every)
    return Count(len(own), control, rows, own), answer


def kind_of(sql: str) -> str:
    """Verb and table of a statement."""
    words = sql.replace('"', " ").split()
    before = {"SELECT": "FROM", "INSERT": "INTO", "DELETE": "FROM", "UPDATE": "UPDATE"}.get(words[0], "")
    return f"{words[0]} {words[words.index(before) + 1]}" if before in words else words[0]
