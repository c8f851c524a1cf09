"""The state of each key of a managed keyring at one moment, judged from the times of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

#: How often processes look for changes in the keyring.
POLL_INTERVAL: Final = timedelta(seconds=5)
#: How long a key is published before it signs: the JWK Set's max-age (300 s), the greatest clock leeway
#: (60 s) twice and the polling interval, with room to spare.
LEAD_TIME: Final = timedelta(seconds=600)


class KeyState(StrEnum):
    """What a key is for. ``WITHDRAWN`` is reached from every other state; the others follow in order."""

    NEXT = "next"  # published, does not sign yet
    SIGNING = "signing"
    RETIRING = "retiring"  # verifies until the last token that it signed has expired
    RETIRED = "retired"
    WITHDRAWN = "withdrawn"


#: The states in which a key verifies, and is published.
IN_USE: Final = frozenset({KeyState.NEXT, KeyState.SIGNING, KeyState.RETIRING})


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """The times of one managed key, without the key itself."""

    kid: str
    #: When it was, or will be, its turn to sign.
    signs_at: datetime
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeyringState:
    """The states of all keys at one moment."""

    #: In the order of their turns.
    states: dict[str, KeyState]
    #: The state of the keys that the settings give: ``SIGNING`` until the first managed key signs.
    settings: KeyState
    #: When the next of these states changes by itself; None if none does.
    changes_at: datetime | None

    @property
    def signing(self) -> str | None:
        """Return the ``kid`` of the managed key that signs; None while the settings' keys do, or none may."""
        return self.first(KeyState.SIGNING)

    def first(self, state: KeyState) -> str | None:
        """Return the ``kid`` of the first key in ``state``; None if there is none."""
        return next((kid for kid, found in self.states.items() if found is state), None)


def verifies_for(*, lifetime: timedelta, leeway: timedelta) -> timedelta:
    """Return how long a superseded key verifies, for access tokens of that ``lifetime``.

    The last token signed with it comes from a process that has not looked for ``POLL_INTERVAL`` and whose
    clock is behind by the leeway; the process that verifies it grants the leeway again.
    """
    return lifetime + 2 * leeway + POLL_INTERVAL


def judge_keys(keys: Iterable[KeyTimes], *, now: datetime, verify_period: timedelta) -> KeyringState:
    """Judge the state of each key at ``now``; a superseded key verifies for another ``verify_period``."""
    keys = _in_turn(keys)
    begun = [key for key in keys if _has_begun(key, now)]
    signing = _signing(keys, begun)
    ends = _ends(begun, verify_period)
    settings_end = begun[0].signs_at + verify_period if begun else None
    instants = [*(key.signs_at for key in keys), *ends.values(), settings_end]
    return KeyringState(
        {key.kid: _state(key, signing, ends.get(key.kid), now) for key in keys},
        KeyState.SIGNING if settings_end is None else _fading(settings_end, now),
        min((at for at in instants if at and at > now), default=None),
    )


def finished_for_long(
    keys: Iterable[KeyTimes], *, now: datetime, verify_period: timedelta, keep: timedelta
) -> list[str]:
    """Return the ``kid`` of each key that may be deleted: the oldest ones, each out of use for ``keep``.

    A key goes only after all older ones, and the last one never: the oldest that is left shows that the
    settings' keys no longer verify.
    """
    keys = _in_turn(keys)
    states = judge_keys(keys, now=now, verify_period=verify_period).states
    begun = [key for key in keys if _has_begun(key, now)]
    ends = _ends(begun, verify_period)
    found: list[str] = []
    for key in keys[:-1]:
        is_last_begun = key in begun and key.kid not in ends
        changed = [at for at in (ends.get(key.kid), key.withdrawn_at) if at is not None]
        if states[key.kid] in IN_USE or is_last_begun or max(changed) > now - max(keep, verify_period):
            break
        found.append(key.kid)
    return found


def _ends(begun: Sequence[KeyTimes], verify_period: timedelta) -> dict[str, datetime]:
    """Return when the last token of each superseded key will have expired, by ``kid``."""
    return {key.kid: successor.signs_at + verify_period for key, successor in pairwise(begun)}


def _in_turn(keys: Iterable[KeyTimes]) -> list[KeyTimes]:
    return sorted(keys, key=lambda key: (key.signs_at, key.kid))


def _has_begun(key: KeyTimes, now: datetime) -> bool:
    """Return whether the key's turn has come, and came before it was withdrawn."""
    return key.signs_at <= now and (key.withdrawn_at is None or key.signs_at < key.withdrawn_at)


def _signing(keys: Sequence[KeyTimes], begun: Sequence[KeyTimes]) -> KeyTimes | None:
    """Return the last key whose turn has come; if it is withdrawn, the next in turn, else the last before it.

    A withdrawn key never signs, whatever our clock shows: the clock that stamped the withdrawal may be ahead.
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
