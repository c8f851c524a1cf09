"""What each key of a managed keyring is for at one moment, judged from the times of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

#: Processes look for what has changed in the keyring so often.
POLL: Final = timedelta(seconds=5)
#: A key is published for so long before it signs: the JWK Set's max-age (300 s), the greatest clock leeway
#: (60 s) twice and the polling interval, with room to spare.
LEAD: Final = timedelta(seconds=600)


class KeyState(StrEnum):
    """What a key is for. Only ``WITHDRAWN`` is reached from every other state; else they follow in order."""

    NEXT = "next"  # published, does not sign yet
    SIGNING = "signing"
    RETIRING = "retiring"  # verifies until the last token that it signed has expired
    RETIRED = "retired"
    WITHDRAWN = "withdrawn"


#: The states in which a key verifies, and is published.
IN_USE: Final = frozenset({KeyState.NEXT, KeyState.SIGNING, KeyState.RETIRING})


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """One managed key, without the key."""

    kid: str
    #: When it was, or will be, its turn to sign.
    signs_at: datetime
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Judgment:
    """The states of all keys at one moment."""

    #: In the order of their turns.
    states: dict[str, KeyState]
    #: The state of the keys that the settings give: ``SIGNING`` until the first managed key signs.
    settings: KeyState
    #: When the next of these states changes by itself; None if none does.
    changes_at: datetime | None

    @property
    def signing(self) -> str | None:
        """Return the managed key that signs; None while the settings' keys do, or none may."""
        return self.first(KeyState.SIGNING)

    def first(self, state: KeyState) -> str | None:
        """Return the first key in ``state``."""
        return next((kid for kid, found in self.states.items() if found is state), None)


def verifies_for(*, lifetime: timedelta, leeway: timedelta) -> timedelta:
    """Return how long a superseded key verifies, for access tokens of that ``lifetime``.

    Signed with it at the last is a token of a process that had not looked for ``POLL`` and whose clock is
    behind by the leeway, presented to one that grants the leeway.
    """
    return lifetime + 2 * leeway + POLL


def judge_keys(keys: Iterable[KeyTimes], *, now: datetime, hold: timedelta) -> Judgment:
    """Judge what each key is for at ``now``; a superseded one verifies for ``hold``."""
    keys = _in_turn(keys)
    begun = [key for key in keys if _has_begun(key, now)]
    signing = _signing(keys, begun)
    ends = _ends(begun, hold)
    settings_end = begun[0].signs_at + hold if begun else None
    instants = [*(key.signs_at for key in keys), *ends.values(), settings_end]
    return Judgment(
        {key.kid: _state(key, signing, ends.get(key.kid), now) for key in keys},
        KeyState.SIGNING if settings_end is None else _fading(settings_end, now),
        min((at for at in instants if at and at > now), default=None),
    )


def finished_for_long(
    keys: Iterable[KeyTimes], *, now: datetime, hold: timedelta, keep: timedelta
) -> list[str]:
    """Return the keys that nobody misses: the oldest, each out of use for ``keep``.

    Only from the oldest on, and never the last: that the settings' keys verify no more is told by the oldest
    that is left.
    """
    keys = _in_turn(keys)
    states = judge_keys(keys, now=now, hold=hold).states
    begun = [key for key in keys if _has_begun(key, now)]
    ends = _ends(begun, hold)
    found: list[str] = []
    for key in keys[:-1]:
        is_last_begun = key in begun and key.kid not in ends
        changed = [at for at in (ends.get(key.kid), key.withdrawn_at) if at is not None]
        if states[key.kid] in IN_USE or is_last_begun or max(changed) > now - max(keep, hold):
            break
        found.append(key.kid)
    return found


def _ends(begun: Sequence[KeyTimes], hold: timedelta) -> dict[str, datetime]:
    """When the last token of each superseded key has expired."""
    return {key.kid: successor.signs_at + hold for key, successor in pairwise(begun)}


def _in_turn(keys: Iterable[KeyTimes]) -> list[KeyTimes]:
    return sorted(keys, key=lambda key: (key.signs_at, key.kid))


def _has_begun(key: KeyTimes, now: datetime) -> bool:
    """Return whether its turn has come, and came before it was withdrawn."""
    return key.signs_at <= now and (key.withdrawn_at is None or key.signs_at < key.withdrawn_at)


def _signing(keys: Sequence[KeyTimes], begun: Sequence[KeyTimes]) -> KeyTimes | None:
    """The last whose turn has come; if that is withdrawn, the next in turn, else the last before it.

    Withdrawn is withdrawn, whatever the clock says: another's, which stamped it, may be ahead.
    """
    if not begun:
        return None
    later = (key for key in keys if key not in begun)
    candidates = (begun[-1], *later, *reversed(begun))
    return next((key for key in candidates if key.withdrawn_at is None), None)


def _state(key: KeyTimes, signing: KeyTimes | None, end: datetime | None, now: datetime) -> KeyState:
    if key.withdrawn_at is not None:
        return KeyState.WITHDRAWN
    if key == signing:
        return KeyState.SIGNING
    return KeyState.NEXT if end is None else _fading(end, now)


def _fading(end: datetime, now: datetime) -> KeyState:
    return KeyState.RETIRING if now < end else KeyState.RETIRED
