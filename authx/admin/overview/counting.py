"""How many sessions are live, and how many have raised an alarm."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Case, CharField, Count, F, Q, Value, When

from authx.conf import conf
from authx.core.client_sessions import SERVICE
from authx.core.reasons import EndReason
from authx.models import DeviceSession
from authx.sessions.turnover import IS_IDLE


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


def _text(word: str) -> Value:
    return Value(str(word), CharField())
