"""What is suspicious about a session without being proof of theft."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Alarm(StrEnum):
    """The machine word of an alarm, as events, signals and settings name it."""

    REFRESH_REUSED = "refresh_reused"
    REFRESH_RATE = "refresh_rate"
    SPLIT_CONTEXT = "split_context"
    NEW_COUNTRY = "new_country"
    COPIED = "copied"
    LATE_REPLAY = "late_replay"
    STATE_ROLLBACK = "state_rollback"


class Action(StrEnum):
    """What an alarm does."""

    IGNORE = "ignore"
    FLAG = "flag"
    END = "end"


#: The alarms whose action is a site's choice; reuse always ends the session.
CHOSEN = tuple(alarm for alarm in Alarm if alarm is not Alarm.REFRESH_REUSED)


@dataclass(frozen=True, slots=True)
class Context:
    """Where a session is used from: browser and system, country; ``""`` where unknown."""

    label: str = ""
    country: str = ""


def alarms(before: Context, after: Context) -> list[Alarm]:
    """Return the alarms that a refresh from ``after`` raises in a session last refreshed from ``before``.

    A new version of the same browser, or another address in the same country, raises none.
    """
    found = []
    if before.label and after.label and before.label != after.label:
        found.append(Alarm.SPLIT_CONTEXT)
    if before.country and after.country and before.country != after.country:
        found.append(Alarm.NEW_COUNTRY)
    return found
