"""Which sessions are counted as begun and as ended in a time, and how many: by indexes, for the overview.

Sessions are counted, not events; a client's are none of its user's sign-ins. Whatever continues a session
after a step-up or a change of the password is the same sign-in: neither an end nor a beginning. What a time
limit has ended, ended then, and not when ``authx_prune`` has found it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connections, transaction
from django.db.models import Case, CharField, Count, F, IntegerField, Q, Value, When
from django.utils import timezone

from authx.core.reasons import EXPIRIES, EndReason
from authx.models import DeviceSession

#: With these another session may go on in its place.
_CONTINUED_WITH: Final = (EndReason.SUPERSEDED, EndReason.PASSWORD_CHANGED)
_AT_ONCE: Final = tuple(one for one in EndReason if one not in EXPIRIES and one not in _CONTINUED_WITH)
_GOES_ON: Final = Q(successor__isnull=False) & ~Q(successor=F("id"))
#: Which of its time limits ends a session that nothing else ends.
IS_IDLE: Final = Q(idle_expires_at__lt=F("expires_at"))
#: So many ids are written into a statement.
_FEW: Final = 5000
_OPENED: Final = "opened"
_CONTINUED: Final = "continued"


@dataclass(frozen=True, slots=True)
class Span:
    """A time, from ``since`` until just before ``until``."""

    since: datetime
    until: datetime


@dataclass(slots=True)
class Turnover:
    """How many sessions began and ended.

    A successor opens a moment after its predecessor has ended, perhaps in the next span: what has begun may
    be less than nothing.
    """

    opened: int = 0
    #: By reason.
    ended: dict[str, int] = field(default_factory=dict)

    def add(self, other: Turnover) -> None:
        """Count the other's, too."""
        self.opened += other.opened
        for reason, number in other.ended.items():
            self.ended[reason] = self.ended.get(reason, 0) + number

    def take_off(self, other: Turnover) -> None:
        """Count the other's no more."""
        self.opened -= other.opened
        left = {reason: number - other.ended.get(reason, 0) for reason, number in self.ended.items()}
        self.ended = {reason: number for reason, number in left.items() if number > 0}


def begun_since(rows: Any, since: datetime) -> Any:
    """Return those of the rows that are counted as sign-ins. One statement."""
    ended = DeviceSession.objects.order_by().filter(end_reason__in=_CONTINUED_WITH, ended_at__gte=since)
    successors = ended.filter(_GOES_ON).values_list("successor", flat=True)
    few = list(successors[: _FEW + 1])  # looked for once, and not by each statement of the list
    return (
        rows.first_party()
        .filter(created_at__gte=since)
        .exclude(pk__in=few if len(few) <= _FEW else successors)
    )


def ended_since(rows: Any, since: datetime, now: datetime | None = None) -> Any:
    """Return those of the rows that are counted as ended."""
    at_once = Q(end_reason__in=_AT_ONCE, ended_at__gte=since)
    not_continued = Q(end_reason__in=_CONTINUED_WITH, ended_at__gte=since) & ~_GOES_ON
    by_limit = Q(end_reason__in=EXPIRIES, ended_at__gte=since, idle_expires_at__gte=since)
    unmarked = Q(ended_at=None, idle_expires_at__gte=since, idle_expires_at__lt=now or timezone.now())
    return rows.first_party().filter(at_once | not_continued | by_limit | unmarked)


def count_spans(rows: Any, spans: Sequence[Span], now: datetime) -> list[Turnover]:
    """Return for each span how many of the rows, a queryset, began and ended in it. One statement."""
    found = [Turnover() for _ in spans]
    for place, word, number in _counted(rows, spans, now):
        if word == _OPENED:
            found[place].add(Turnover(number))
        elif word == _CONTINUED:
            found[place].add(Turnover(-number))
        else:
            found[place].add(Turnover(0, {word: number}))
    return found


def is_quiet(rows: Any, span: Span, now: datetime) -> bool:
    """Return whether none of the rows, a queryset, began or ended in it. One statement."""
    return not _counted(rows, [span], now)


def _counted(rows: Any, spans: Sequence[Span], now: datetime) -> list[tuple[int, str, int]]:
    """Return the place of a span, what happened in it, and how often, where it happened at all."""
    parts = list(_parts(rows.order_by().first_party(), spans, now))
    if not parts:
        return []
    with _without_compiler(rows.db):
        return [row for row in parts[0].union(*parts[1:], all=True).order_by() if row[-1]]


def _parts(logins: Any, spans: Sequence[Span], now: datetime) -> Iterator[Any]:
    """Yield for each span what counts it; each part is a range of one index."""
    at_once = logins.filter(end_reason__in=_AT_ONCE), F("end_reason")
    continued = logins.filter(end_reason__in=_CONTINUED_WITH), _either(_GOES_ON, _CONTINUED, F("end_reason"))
    by_limit = logins.filter(end_reason__in=EXPIRIES), F("end_reason")
    unmarked = logins.filter(ended_at=None), _either(IS_IDLE, EndReason.IDLE, _text(EndReason.EXPIRED))
    for number, span in enumerate(spans):
        yield _part(number, span.since, span.until, "created_at", logins, _text(_OPENED))
        yield _part(number, span.since, span.until, "ended_at", *at_once)
        yield _part(number, span.since, span.until, "ended_at", *continued)
        # No row says so before the limit: the second condition is for databases without partial indexes.
        rows, word = by_limit[0].filter(ended_at__gte=span.since), by_limit[1]
        yield _part(number, span.since, span.until, "idle_expires_at", rows, word)
        yield _part(number, span.since, min(span.until, now), "idle_expires_at", *unmarked)


def _part(number: int, since: datetime, until: datetime, column: str, rows: Any, word: Any) -> Any:
    within = rows.filter(**{f"{column}__gte": since, f"{column}__lt": until})
    named = within.annotate(place=Value(number, IntegerField()), word=word)
    return named.values("place", "word").annotate(number=Count("*")).values_list("place", "word", "number")


@contextmanager
def _without_compiler(using: str) -> Iterator[None]:
    """Let PostgreSQL not compile the statement of very many parts (``jit``): that takes it ten seconds.

    In a surrounding transaction it compiles nothing until that is over; a savepoint would be two statements.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic(using=using, savepoint=False), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")
        yield


def _either(condition: Q, word: str, other: Any) -> Case:
    return Case(When(condition, then=_text(word)), default=other, output_field=CharField())


def _text(word: str) -> Value:
    return Value(str(word), CharField())
