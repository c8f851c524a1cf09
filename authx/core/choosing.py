"""Which sessions a user may choose to end for a login that a full limit has refused."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from authx.core.limits import Limit, Occupant, displaced
from authx.errors import SessionLimitReached


def choosable(
    limits: Sequence[Limit], occupants: Sequence[Occupant], newcomer: str
) -> tuple[tuple[UUID, ...], int]:
    """Return the sessions to choose from, the least recent first, and how many of them must end.

    Where ending one is enough, that is each whose end alone makes room. Where it takes more, as after a limit
    was lowered, that is each in the way, and ending the first so many is enough. None where nothing that may
    be chosen makes room: a limit without ``choose`` is full too.
    """
    counted = [one for one in occupants if is_counted(limits, one.type, newcomer)]
    counted.sort(key=lambda one: (one.last_seen_at, one.created_at, one.sid))
    sids = [one.sid for one in counted]
    if not _makes_room(limits, occupants, newcomer, sids):
        return (), 0
    needed = next(n for n in range(len(sids) + 1) if _makes_room(limits, occupants, newcomer, sids[:n]))
    alone = tuple(sid for sid in sids if _makes_room(limits, occupants, newcomer, [sid]))
    return (alone, 1) if alone else (tuple(sids), needed)


def is_counted(limits: Sequence[Limit], type_: str, newcomer: str) -> bool:
    """Return whether a limit that lets a ``newcomer`` choose counts sessions on devices of ``type_``."""
    return any(limit.choose and limit.covers(type_) and limit.covers(newcomer) for limit in limits)


def can_choose(limits: Sequence[Limit], newcomer: str) -> bool:
    """Return whether some limit lets a ``newcomer`` choose when it is full."""
    return any(limit.choose and limit.covers(newcomer) for limit in limits)


def _makes_room(
    limits: Sequence[Limit], occupants: Sequence[Occupant], newcomer: str, chosen: Collection[UUID]
) -> bool:
    try:
        displaced(limits, occupants, newcomer, frozenset(chosen))
    except SessionLimitReached:
        return False
    return True
