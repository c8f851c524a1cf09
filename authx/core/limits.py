"""Which sessions a new login ends: each limit holds per device type, or per group of types."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import Any, Final
from uuid import UUID

from authx.errors import SessionLimitReached

#: What an entry of AUTHX_SESSION_LIMITS may hold.
KEYS: Final = frozenset({"types", "limit", "when_full", "choose"})


class WhenFull(StrEnum):
    """What happens at a login when its limit is reached."""

    END_LEAST_RECENT = "end_least_recent"
    END_OLDEST = "end_oldest"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``limit`` live sessions of a user on devices of ``types``; None: of all types."""

    types: frozenset[str] | None
    limit: int
    when_full: WhenFull
    #: Whether a login that it refuses may end one of the sessions in its way: the user chooses which.
    choose: bool = False

    @classmethod
    def read(cls, rule: Any) -> Limit:
        """Read one entry of AUTHX_SESSION_LIMITS.

        Raises:
            ValueError: it is invalid; the text says why.
        """
        if not isinstance(rule, dict) or (unknown := set(rule) - KEYS):
            extra = f", not {', '.join(sorted(map(str, unknown)))}" if isinstance(rule, dict) else ""
            raise ValueError(f"must be dicts with types, limit, when_full and choose{extra}")
        types, limit = rule.get("types"), rule.get("limit")
        if types is not None and not (isinstance(types, list | tuple) and types):
            raise ValueError("must name types in a list, or leave them out for all")
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise ValueError("must have a limit of at least 1")
        try:
            when_full = WhenFull(rule.get("when_full", WhenFull.END_LEAST_RECENT))
        except ValueError:
            raise ValueError(f"must have one of {', '.join(WhenFull)} as when_full") from None
        choose = rule.get("choose", False)
        if not isinstance(choose, bool):
            raise ValueError("must have True or False as choose")
        if choose and when_full is not WhenFull.REFUSE:
            raise ValueError(f'must have "when_full": "refuse" beside choose, not "{when_full.value}"')
        return cls(None if types is None else frozenset(types), limit, when_full, choose)

    def __str__(self) -> str:
        types = ", ".join(sorted(self.types)) if self.types else "all types"
        choose = " or choose" if self.choose else ""
        return f"{types}: at most {self.limit}, {self.when_full}{choose}"

    def covers(self, type_: str) -> bool:
        """Return whether it counts sessions on devices of this type."""
        return self.types is None or type_ in self.types


@dataclass(frozen=True, slots=True)
class Occupant:
    """What a limit needs to know of a live session."""

    sid: UUID
    type: str
    created_at: datetime
    last_seen_at: datetime


def displaced(
    limits: Sequence[Limit],
    occupants: Iterable[Occupant],
    newcomer: str,
    chosen: Collection[UUID] = frozenset(),
) -> list[UUID]:
    """Return the sessions that a login on a device of type ``newcomer`` ends, so that no limit is exceeded.

    A session of the same device, which the login replaces anyway, is not among ``occupants``. Those that are
    ``chosen`` leave first, and are not returned; for a limit that lets nobody choose that makes no room.

    Raises:
        SessionLimitReached: a limit that refuses is reached, whatever the others would end.
    """
    present = list(occupants)
    covering = [limit for limit in limits if limit.covers(newcomer)]
    enders, refusing = _divided(covering)
    leaving = _end_surplus(enders, present)
    _demand_room([limit for limit in refusing if not limit.choose], present, leaving)
    if chosen:
        present = [one for one in present if one.sid not in chosen]
        leaving = _end_surplus(enders, present)
    _demand_room([limit for limit in refusing if limit.choose], present, leaving)
    return [one.sid for one in leaving]


def _end_surplus(enders: Iterable[Limit], present: Iterable[Occupant]) -> list[Occupant]:
    """Return the sessions that these limits end for one more that all of them cover."""
    staying, leaving = list(present), []
    for limit in enders:
        surplus = _surplus(limit, staying, room=limit.limit - 1)
        leaving += surplus
        staying = [one for one in staying if one not in surplus]
    return leaving


def _demand_room(refusing: Iterable[Limit], present: list[Occupant], leaving: list[Occupant]) -> None:
    staying = [one for one in present if one not in leaving]
    for limit in refusing:
        if _surplus(limit, staying, room=limit.limit - 1):
            raise SessionLimitReached(f"{limit.limit} at a time")


def excess(limits: Sequence[Limit], occupants: Iterable[Occupant]) -> list[tuple[Occupant, Limit]]:
    """Return the sessions that exceed the limits as they are now, each with the limit it exceeds."""
    staying, beyond = list(occupants), []
    for limit in chain(*_divided(limits)):
        surplus = _surplus(limit, staying, room=limit.limit)
        beyond += [(one, limit) for one in surplus]
        staying = [one for one in staying if one not in surplus]
    return beyond


def _divided(limits: Sequence[Limit]) -> tuple[list[Limit], list[Limit]]:
    """Return the limits that end sessions, and those that refuse, which then count only what is left."""
    enders = [limit for limit in limits if limit.when_full is not WhenFull.REFUSE]
    return enders, [limit for limit in limits if limit.when_full is WhenFull.REFUSE]


def _surplus(limit: Limit, occupants: Iterable[Occupant], *, room: int) -> list[Occupant]:
    """Return the sessions that must end so that at most ``room`` are left, the first to end first."""

    def seniority(one: Occupant) -> tuple[datetime, datetime, UUID]:
        if limit.when_full is WhenFull.END_OLDEST:
            return (one.created_at, one.last_seen_at, one.sid)
        return (one.last_seen_at, one.created_at, one.sid)

    covered = sorted((one for one in occupants if limit.covers(one.type)), key=seniority)
    return covered[: max(0, len(covered) - room)]
