"""Texts compared as they are written, whatever a database's collation takes for the same."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Func, Q, Value
from django.db.models.lookups import Exact


class Octets(Func):
    """A text as its octets: MariaDB's collations take accents, case and trailing blanks for the same."""

    template = "%(expressions)s"

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="CAST(%(expressions)s AS BINARY)", **extra)


def is_exactly(column: str, text: str) -> Q:
    """True where ``column`` holds ``text`` and nothing that merely collates alike."""
    return Q(Exact(Octets(F(column)), Value(text)))
