"""Which sessions the overview counts, and how many they are: by indexes. The list shows the same ones.

Sessions are counted, not events; a client's are none of its user's sign-ins. Whatever continues a session
after a step-up or a change of the password is the same sign-in: neither an end nor a beginning. What a time
limit has ended, ended then, and not when ``authx_prune`` has found it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from django.db import connections, transaction
from django.db.models import Case, CharField, Count, F, IntegerField, Q, Value, When
from django.utils import timezone

from authx.admin.overview.periods import Slot
from authx.conf import conf
from authx.core.client_sessions import SERVICE
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


def count_slots(slots: Sequence[Slot], now: datetime) -> list[tuple[int, dict[str, int]]]:
    """Return for each slot how many sessions began, and how many ended for each reason. One statement.

    A successor opens a moment after its predecessor has ended, perhaps in the next hour: what has begun may
    be less than nothing.
    """
    opened, ended = [0] * len(slots), [dict[str, int]() for _ in slots]
    first, *others = _parts(slots, now)
    with _without_compiler(first.db):
        counted = list(first.union(*others, all=True).order_by())
    for slot, word, number in counted:
        if word == _OPENED:
            opened[slot] += number
        elif word == _CONTINUED:
            opened[slot] -= number
        else:
            ended[slot][word] = ended[slot].get(word, 0) + number
    return list(zip(opened, ended, strict=True))


def _parts(slots: Sequence[Slot], now: datetime) -> Iterator[Any]:
    """Yield for each slot what counts it; each part is a range of one index."""
    logins = DeviceSession.objects.order_by().first_party()
    at_once = logins.filter(end_reason__in=_AT_ONCE), F("end_reason")
    continued = logins.filter(end_reason__in=_CONTINUED_WITH), _either(_GOES_ON, _CONTINUED, F("end_reason"))
    by_limit = logins.filter(end_reason__in=EXPIRIES), F("end_reason")
    unmarked = logins.filter(ended_at=None), _either(IS_IDLE, EndReason.IDLE, _text(EndReason.EXPIRED))
    for number, slot in enumerate(slots):
        yield _part(number, slot.since, slot.until, "created_at", logins, _text(_OPENED))
        yield _part(number, slot.since, slot.until, "ended_at", *at_once)
        yield _part(number, slot.since, slot.until, "ended_at", *continued)
        # No row says so before the limit: the second condition is for databases without partial indexes.
        rows, word = by_limit[0].filter(ended_at__gte=slot.since), by_limit[1]
        yield _part(number, slot.since, slot.until, "idle_expires_at", rows, word)
        yield _part(number, slot.since, min(slot.until, now), "idle_expires_at", *unmarked)


def _part(number: int, since: datetime, until: datetime, column: str, rows: Any, word: Any) -> Any:
    within = rows.filter(**{f"{column}__gte": since, f"{column}__lt": until})
    named = within.annotate(slot=Value(number, IntegerField()), word=word)
    return named.values("slot", "word").annotate(number=Count("*")).values_list("slot", "word", "number")


@contextmanager
def _without_compiler(using: str) -> Iterator[None]:
    """Let PostgreSQL not compile the statement of very many parts (``jit``): that takes it ten seconds."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic(using=using), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")
        yield


def count_live(now: datetime) -> tuple[dict[str, int], int]:
    """Return how many are live by device type, and of how many users: the live rows are read once.

    Twice where some are of a type that may not log in any more.
    """
    live = DeviceSession.objects.order_by().live(now)
    types = dict(enumerate([*conf.DEVICE_TYPES, SERVICE]))
    of_type = {f"type_{key}": Count("pk", filter=Q(device_type=type_)) for key, type_ in types.items()}
    found = live.aggregate(users=Count("user", distinct=True), total=Count("pk"), **of_type)
    numbers = {type_: found[f"type_{key}"] for key, type_ in types.items() if found[f"type_{key}"]}
    if sum(numbers.values()) != found["total"]:
        numbers = dict(live.values_list("device_type").annotate(number=Count("*")))
    return numbers, found["users"]


def count_alarmed(since: datetime, now: datetime) -> dict[str, int]:
    """Return how many have raised an alarm since, by the reason of their end; ``""`` for live ones."""
    over = (
        When(ended_at__isnull=False, then=F("end_reason")),
        When(IS_IDLE, idle_expires_at__lte=now, then=_text(EndReason.IDLE)),
        When(expires_at__lte=now, then=_text(EndReason.EXPIRED)),
    )
    word = Case(*over, default=_text(""), output_field=CharField())
    rows = DeviceSession.objects.order_by().filter(alarm_at__gte=since).annotate(word=word)
    return dict(rows.values_list("word").annotate(number=Count("*")))


def _either(condition: Q, word: str, other: Any) -> Case:
    return Case(When(condition, then=_text(word)), default=other, output_field=CharField())


def _text(word: str) -> Value:
    return Value(str(word), CharField())
