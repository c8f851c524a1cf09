"""Exact comparison of texts, whatever a database's collation treats as equal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import F, Func, Q, Value
from django.db.models.lookups import Exact, In


class Octets(Func):
    """A text as its octets: MariaDB's collations ignore accents, case and trailing blanks."""

    template = "%(expressions)s"

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Return the cast; the other databases compare octets anyway."""
        return self.as_sql(compiler, connection, template="CAST(%(expressions)s AS BINARY)", **extra)


def is_exactly(column: str, text: str) -> Q:
    """Return the condition that ``column`` holds exactly ``text``, not one that collates as equal."""
    return Q(Exact(Octets(F(column)), Value(text)))


def is_one_of(column: str, texts: Iterable[str]) -> Q:
    """Return the condition that ``column`` holds exactly one of ``texts``, of which there is one at least."""
    return Q(In(Octets(F(column)), list(texts)))
