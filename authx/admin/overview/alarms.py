"""The newest alarms, and what was done about each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from authx.admin.words import ALARMS
from authx.models import DeviceSession, SessionEvent

#: Sessions listed; the list of sessions, filtered by alarms, shows the others.
MAX_LISTED: Final = 10


@dataclass(frozen=True, slots=True)
class Alarmed:
    """One session that has raised alarms lately."""

    session: DeviceSession
    #: Which, in words; the newest first.
    alarms: list[Any]
    badge: Any


def newest_alarms(model_admin: Any, since: datetime) -> list[Alarmed]:
    """Return the sessions that raised an alarm last, the newest first. Two statements."""
    rows: Any = (
        DeviceSession.objects.filter(alarm_at__gte=since).select_related("user", "ended_by").with_marks()
    )
    found = list(rows.order_by("-alarm_at", "-pk")[:MAX_LISTED])
    flagged = SessionEvent.objects.filter(session__in=[one.pk for one in found], kind="flagged")
    words: dict[Any, dict[str, None]] = {}
    for key, outcome, at in flagged.order_by("-at", "-pk").values_list("session_id", "outcome", "at"):
        if at >= since:  # asked here: the index of times would lead past everybody's events
            words.setdefault(key, {})[outcome] = None
    return [
        Alarmed(one, [ALARMS.get(word, word) for word in words.get(one.pk, ())], model_admin.outcome(one))
        for one in found
    ]
