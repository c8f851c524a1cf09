"""Whether a text holds any of some words, such that PostgreSQL makes the text once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from django.db import connections
from django.db.models import BooleanField, Func, Q, TextField, Value
from django.db.models.functions import Upper


def holds_any(column: str, words: Sequence[str], using: str) -> Any:
    """Return the condition that ``column`` holds one of the words, as ``icontains`` compares them.

    ``column`` may be an alias of an expression that costs more than the comparison; ``using`` is the alias of
    the database.
    """
    connection: Any = connections[using]
    if connection.vendor != "postgresql":
        return reduce(or_, (Q(**{f"{column}__icontains": word}) for word in words))
    patterns = [f"%{connection.ops.prep_for_like_query(word)}%" for word in words]
    return _LikeAny(Upper(column), *(Upper(Value(pattern, TextField())) for pattern in patterns))


class _LikeAny(Func):
    """Its first argument is compared with the others; an ``OR`` of comparisons would compute it for each."""

    output_field = BooleanField()

    def as_sql(self, compiler: Any, connection: Any, *parts: Any, **context: Any) -> Any:
        (text, values), *patterns = (compiler.compile(one) for one in self.get_source_expressions())
        listed = ", ".join(sql for sql, _values in patterns)
        return f"{text} LIKE ANY (ARRAY[{listed}])", [
            *values,
            *(one for _sql, own in patterns for one in own),
        ]
