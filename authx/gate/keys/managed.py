"""A key set that follows the managed keyring in the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import nextafter
from threading import Lock
from typing import Any, Final

from authx import clocks
from authx.conf import conf
from authx.core.freshness import FOREVER, NEVER, Policy
from authx.core.key_schedule import IN_USE, POLL_INTERVAL, KeyState, KeyTimes, judge_keys, verifies_for
from authx.core.keys import Key, KeySet
from authx.errors import StoreUnavailable
from authx.gate.shared_copy import SharedCopy

logger = logging.getLogger("authx")

#: Seconds between two lookups of unknown kids, while the database answers: a new key may sign at once.
UNKNOWN_KID_SECONDS = 0.5
#: Seconds after the last reading in which keys may be used while another thread reads.
TOO_OLD_SECONDS = 60.0
#: Seconds that a process which has not read the keys yet waits between two tries.
RETRY_SECONDS = 0.5

_POLL: Final = POLL_INTERVAL.total_seconds()
#: Just below the polling interval: a copy is due once it is as old as that, and not only when it is older.
_POLLED: Final = nextafter(_POLL, 0.0)
#: A caller that signs waits for the current keys, also while the database fails.
_SIGNING: Final = Policy(renew_after=_POLLED, wait_after=_POLLED, rest=_POLL, failing_for=0.0)
_VERIFYING: Final = Policy(
    renew_after=_POLLED,
    wait_after=nextafter(TOO_OLD_SECONDS, 0.0),
    rest=_POLL,
    failing_for=TOO_OLD_SECONDS,
)
_MISSING: Final = replace(_SIGNING, missing_cool_down=UNKNOWN_KID_SECONDS)
#: Before the database has answered once, every caller waits.
_UNREAD: Final = replace(_SIGNING, rest=RETRY_SECONDS)


@dataclass(frozen=True, slots=True)
class ManagedKey:
    """One key of the database: its times, and the key itself where it is in use and can be read."""

    times: KeyTimes
    key: Key | None


#: Reads the managed keys, given those that are known already, by ``kid``, and the time.
Loader = Callable[[Mapping[str, Key], datetime], Iterable[ManagedKey]]


class Keyring(KeySet):
    """A key set that follows the managed keyring: the same object, other keys as time goes by.

    Without managed keys it holds the settings' keys, and the database is read only for an unknown ``kid`` and
    before signing, once in ``POLL_INTERVAL``; with them also before verifying. A database that cannot be read
    leaves the keys as they were. Before it has been read once it is unknown which keys are valid, and every
    use of one raises StoreUnavailable.
    """

    def __init__(self, given: KeySet, load: Loader, clock: Callable[[], float] = clocks.time) -> None:
        """Start with ``given``, the settings' keys; ``clock`` returns seconds since the epoch."""
        super().__init__(given, verify_only=True)
        #: The settings' keys, in use or not.
        self.given = tuple(given)
        self._load, self._clock = load, clock
        self._rows: tuple[ManagedKey, ...] = ()
        self._signing: Key | None = self.given[0]
        #: Between these times the judged states of the keys hold.
        self._judged_at, self._changes_at = NEVER, FOREVER
        #: True once it has been read from the database whether there are managed keys.
        self._is_known = False
        #: Held for a moment while the states are judged.
        self._judging = Lock()
        self._copy = SharedCopy(self._read, clock=clock, after_fork=self._after_fork, name="keys")

    def __iter__(self) -> Iterator[Key]:
        self._ensure_fresh(_SIGNING)
        return iter(self._keys.values())

    @property
    def signing(self) -> Key:
        """Return the key that signs now.

        Raises:
            StoreUnavailable: the keys have not been read yet, or that key cannot be decrypted.
        """
        return self.demand_signing()

    def demand_signing(self) -> Key:
        """Return the key that signs now; for callers that only need to know that there is one."""
        self._ensure_fresh(_SIGNING)
        if self._signing is None:
            raise StoreUnavailable(
                "the managed key in turn to sign cannot be decrypted: put the SECRET_KEY under which it was"
                " made into SECRET_KEY_FALLBACKS, or make another with manage.py authx_keys rotate --now"
            )
        return self._signing

    def jwks(self) -> dict[str, Any]:
        """Return the public keys; raise rather than return a set without the key that signs.

        Raises:
            StoreUnavailable: as ``signing``.
        """
        self.demand_signing()
        return super().jwks()

    def find(self, kid: str) -> Key | None:
        """Return the key with this ``kid``, or None; the class says when the database is read.

        An unknown ``kid`` is looked up, because its key may be new. A reading that started after the call
        need not be repeated for that; one from before may have missed the key.
        """
        if self._is_known and not self._rows and (key := self._keys.get(kid)) is not None:
            return key
        asked_at = self._clock()
        if self._rows or not self._is_known:
            self._ensure_fresh(_VERIFYING)
        if kid not in self._keys:
            is_missing = lambda: kid not in self._keys  # noqa: E731
            self._copy.ensure_fresh(_MISSING, asked_at=asked_at, is_missing=is_missing)
        return self._keys.get(kid)

    def is_at_hand(self, kid: str | None) -> bool:
        """Return whether ``find`` reads nothing for this ``kid``; None is that of a token without one."""
        if kid is not None and kid not in self._keys:
            return False
        return self._is_known and (not self._rows or self._copy.is_fresh(_VERIFYING))

    def reload(self) -> None:
        """Read the database now: this process has just changed the keyring."""
        self._copy.reload()

    def _ensure_fresh(self, policy: Policy) -> None:
        """Read again if that is due, and judge again if a key's time has come.

        Raises:
            StoreUnavailable: the keys have not been read yet.
        """
        if not self._copy.ensure_fresh(policy if self._is_known else _UNREAD):
            raise StoreUnavailable("the signing keys have not been read yet")
        now = self._clock()
        if not self._judged_at <= now < self._changes_at:
            self._judge(now)

    def _read(self, now: float) -> None:
        """Read the managed keys; a failed reading removes no key."""
        known = {row.times.kid: row.key for row in self._rows if row.key is not None}
        try:
            self._rows = tuple(self._load(known, _time(now)))
            self._is_known = True
        except Exception as error:  # of any kind
            logger.warning(
                "The managed signing keys could not be read: %s.",
                type(error).__name__,
                extra={"event": "keys_not_read"},
            )
            if isinstance(error, StoreUnavailable):
                if not self._is_known:
                    self._copy.forget()
                raise
            # Anything else is not an outage: the process has no database to read, as in some tests.
        self._judge(now)

    def _judge(self, now: float) -> None:
        """Work out which keys are in use, the signing one first."""
        with self._judging:
            self._judge_rows(now)

    def _judge_rows(self, now: float) -> None:
        judged = judge_keys((row.times for row in self._rows), now=_time(now), verify_period=verify_period())
        ours = {row.times.kid: row.key for row in self._rows}
        in_use = {kid for kid, state in judged.states.items() if state in IN_USE}
        order = [judged.signing, *(kid for kid in judged.states if kid in in_use)]
        managed = [key for kid in order if kid is not None and (key := ours[kid]) is not None]
        if judged.settings is KeyState.SIGNING:
            found = [*self.given, *managed]
            self._signing = self.given[0]
        else:
            found = [*managed, *(self.given if judged.settings is KeyState.RETIRING else ())]
            self._signing = ours[judged.signing] if judged.signing else None
        self._keys = {key.kid: key for key in found}
        self._judged_at = now
        self._changes_at = judged.changes_at.timestamp() if judged.changes_at else FOREVER

    def _after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may hold."""
        self._judging = Lock()


def verify_period() -> timedelta:
    """Return how long a key goes on verifying after it has stopped signing."""
    return verifies_for(lifetime=conf.ACCESS_TOKEN_LIFETIME, leeway=conf.CLOCK_LEEWAY)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
