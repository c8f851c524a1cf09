"""Search how many of the owner's renewals one copy of the jar outlives, whatever its holder does.

The owner renews whenever the access token runs out, receives every answer, and either shows each access
token to the issuer at once or never does. Right before and right after each renewal the thief presents
whatever is held, in every order, and shows the issuer an access token or does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from benchmarks.rotation_simulation.moves import Moves, confirm, copied
from benchmarks.rotation_simulation.situation import Situation

#: A situation, and whether the thief has been handed an access token since the owner's last renewal but one.
Served = tuple[Situation, bool]


def renewals_outlived(
    lifetime: timedelta, *, asks_issuer: bool, moves: Moves | None = None, most: int = 20
) -> int:
    """Return the number of the owner's renewal at which the thief gets nothing more; ``most`` if it is later.

    The jar is copied right after a renewal. ``lifetime``, of an access token, is the grace at least.
    """
    moves = moves or Moves(under_way=0)
    here: list[Served] = [(copied(_first_renewal(moves, lifetime, asks_issuer=asks_issuer)), True)]
    for number in range(most):
        served = [situation for situation, is_served in _whatever_thief_does(moves, here) if is_served]
        if not served:
            return number
        waited = ((replace(situation, now=situation.now + lifetime), False) for situation in served)
        here = [
            (after, is_served)
            for situation, is_served in _whatever_thief_does(moves, waited)
            for after in _renewed(moves, situation, asks_issuer=asks_issuer)
        ]
    return most


def _first_renewal(moves: Moves, lifetime: timedelta, *, asks_issuer: bool) -> Situation:
    opened = Situation()
    later = replace(opened, now=opened.now + lifetime)
    (situation,) = _renewed(moves, later, asks_issuer=asks_issuer)
    return situation


def _renewed(moves: Moves, here: Situation, *, asks_issuer: bool) -> Iterator[Situation]:
    for what, after in moves.owner_presents(here, here.jar, "renewed"):
        if what == "renewed":
            pending = after.row.is_pending and after.jar.generation == after.row.generation
            yield confirm(after) if asks_issuer and pending else after


def _whatever_thief_does(moves: Moves, here: Iterable[Served]) -> list[Served]:
    """All that the thief can make of these situations while the clock stands still."""
    found: dict[object, Served] = {
        (situation.key(), is_served): (situation, is_served) for situation, is_served in here
    }
    left = list(found.values())
    while left:
        situation, was_served = left.pop()
        for what, after in moves.thief(situation):
            is_served = was_served or (what.startswith("thief presents") and not what.endswith("refused"))
            key = (after.key(), is_served)
            if key not in found:
                found[key] = (after, is_served)
                left.append(found[key])
    return list(found.values())
