"""Which sessions a new login ends: each limit holds per device type, or per group of types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from authx.errors import SessionLimitReached


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

    @classmethod
    def read(cls, rule: Any) -> Limit:
        """Read one entry of AUTHX_SESSION_LIMITS.

        Raises:
            ValueError: it is invalid; the text says why.
        """
        if not isinstance(rule, dict) or (unknown := set(rule) - {"types", "limit", "when_full"}):
            extra = f", not {', '.join(sorted(map(str, unknown)))}" if isinstance(rule, dict) else ""
            raise ValueError(f"must be dicts with types, limit and when_full{extra}")
        types, limit = rule.get("types"), rule.get("limit")
        if types is not None and not (isinstance(types, list | tuple) and types):
            raise ValueError("must name types in a list, or leave them out for all")
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise ValueError("must have a limit of at least 1")
        try:
            when_full = WhenFull(rule.get("when_full", WhenFull.END_LEAST_RECENT))
        except ValueError:
            raise ValueError(f"must have one of {', '.join(WhenFull)} as when_full") from None
        return cls(None if types is None else frozenset(types), limit, when_full)

    def __str__(self) -> str:
        types = ", ".join(sorted(self.types)) if self.types else "all types"
        return f"{types}: at most {self.limit}, {self.when_full}"

    def covers(self, type_: str) -> bool:
        return self.types is None or type_ in self.types


@dataclass(frozen=True, slots=True)
class Occupant:
    """What a limit needs to know of a live session."""

    sid: UUID
    type: str
    created_at: datetime
    last_seen_at: datetime


def displaced(limits: Sequence[Limit], occupants: Iterable[Occupant], newcomer: str) -> list[UUID]:
    """Return the sessions that a login on a device of type ``newcomer`` ends, so that no limit is exceeded.

    A session of the same device, which the login replaces anyway, is not among ``occupants``.

    Raises:
        SessionLimitReached: a limit that refuses is reached, whatever the others would end.
    """
    staying, leaving = list(occupants), []
    for limit in _enders_first(limits):
        if not limit.covers(newcomer):
            continue
        surplus = _surplus(limit, staying, room=limit.limit - 1)
        if surplus and limit.when_full is WhenFull.REFUSE:
            raise SessionLimitReached(f"{limit.limit} at a time")
        leaving += surplus
        staying = [one for one in staying if one not in surplus]
    return [one.sid for one in leaving]


def excess(limits: Sequence[Limit], occupants: Iterable[Occupant]) -> list[tuple[Occupant, Limit]]:
    """Return the sessions that exceed the limits as they are now, each with the limit it exceeds."""
    staying, beyond = list(occupants), []
    for limit in _enders_first(limits):
        surplus = _surplus(limit, staying, room=limit.limit)
        beyond += [(one, limit) for one in surplus]
        staying = [one for one in staying if one not in surplus]
    return beyond


def _enders_first(limits: Sequence[Limit]) -> list[Limit]:
    """Sort the limits that end sessions before those that refuse, which then count only what is left."""
    return sorted(limits, key=lambda limit: limit.when_full is WhenFull.REFUSE)


def _surplus(limit: Limit, occupants: Iterable[Occupant], *, room: int) -> list[Occupant]:
    """Return the sessions that must end so that at most ``room`` are left, the first to end first."""

    def seniority(one: Occupant) -> tuple[datetime, datetime, UUID]:
        if limit.when_full is WhenFull.END_OLDEST:
            return (one.created_at, one.last_seen_at, one.sid)
        return (one.last_seen_at, one.created_at, one.sid)

    covered = sorted((one for one in occupants if limit.covers(one.type)), key=seniority)
    return covered[: max(0, len(covered) - room)]
