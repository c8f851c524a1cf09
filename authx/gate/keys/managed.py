"""A key set that follows the managed keyring in the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import nextafter
from threading import Lock
from typing import Any, Final

from authx.conf import conf
from authx.core.freshness import FOREVER, NEVER, Policy
from authx.core.key_schedule import IN_USE, POLL, KeyState, KeyTimes, judge_keys, verifies_for
from authx.core.keys import Key, KeySet
from authx.errors import StoreUnavailable
from authx.gate.shared_copy import SharedCopy

logger = logging.getLogger("authx")

#: Seconds between two looks for unknown kids, while the database answers: a key may sign once it is made.
UNKNOWN_KID_SECONDS = 0.5
#: Seconds after the last look in which keys may be used while another thread looks.
TOO_OLD_SECONDS = 60.0
#: Seconds that a process which has not read the keys yet waits between two tries.
RETRY_SECONDS = 0.5

_POLL: Final = POLL.total_seconds()
#: Once so many seconds have passed, and not only when they are exceeded.
_POLLED: Final = nextafter(_POLL, 0.0)
#: Whoever signs waits for the keys that there are now, also while the database fails.
_SIGNING: Final = Policy(renew_after=_POLLED, wait_after=_POLLED, rest=_POLL, failing_for=0.0)
_VERIFYING: Final = Policy(
    renew_after=_POLLED,
    wait_after=nextafter(TOO_OLD_SECONDS, 0.0),
    rest=_POLL,
    failing_for=TOO_OLD_SECONDS,
)
_MISSING: Final = replace(_SIGNING, missing_cool_down=UNKNOWN_KID_SECONDS)
#: Before the database has answered once, all wait.
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

    Without managed keys it is what the settings give, and a look at the database is taken only for an unknown
    ``kid`` and before signing, once in ``POLL``; with them also before verifying. A database that cannot be
    asked leaves all as it was; before it has been asked once, nobody knows which keys are good, and whatever
    needs one raises StoreUnavailable.
    """

    def __init__(self, given: KeySet, load: Loader, clock: Callable[[], float] = time.time) -> None:
        """``given`` are the settings' keys; ``clock`` gives seconds since the epoch."""
        super().__init__(given, verify_only=True)
        #: The settings' keys, in use or not.
        self.given = tuple(given)
        self._load, self._clock = load, clock
        self._rows: tuple[ManagedKey, ...] = ()
        self._signing: Key | None = self.given[0]
        #: Between these times the keys are what they were judged to be.
        self._judged_at, self._changes_at = NEVER, FOREVER
        #: True once the database has said whether there are managed keys.
        self._is_known = False
        #: Held for a moment by whoever judges.
        self._judging = Lock()
        self._copy = SharedCopy(self._read, clock=clock, after_fork=self._after_fork)

    def __iter__(self) -> Iterator[Key]:
        self._ensure_fresh(_SIGNING)
        return iter(self._keys.values())

    @property
    def signing(self) -> Key:
        """The key that signs now.

        Raises:
            StoreUnavailable: the keys have not been read yet, or it cannot be decrypted.
        """
        return self.demand_signing()

    def demand_signing(self) -> Key:
        """The same, where one wants to know whether there is one."""
        self._ensure_fresh(_SIGNING)
        if self._signing is None:
            raise StoreUnavailable(
                "the managed key in turn to sign cannot be decrypted: put the SECRET_KEY under which it was"
                " made into SECRET_KEY_FALLBACKS, or make another with manage.py authx_keys rotate --now"
            )
        return self._signing

    def jwks(self) -> dict[str, Any]:
        """The public keys; none, rather than a set without the key that signs.

        Raises:
            StoreUnavailable: as ``signing``.
        """
        self.demand_signing()
        return super().jwks()

    def find(self, kid: str) -> Key | None:
        """Return the key with this ``kid``; the database is read only where the class says so.

        Whether an unknown one was made meanwhile is looked up (J10). A reading that started after the call
        need not be repeated for that; one from before may have missed the key.
        """
        asked_at = self._clock()
        if self._rows or not self._is_known:
            self._ensure_fresh(_VERIFYING)
        if kid not in self._keys:
            is_missing = lambda: kid not in self._keys  # noqa: E731
            self._copy.ensure_fresh(_MISSING, asked_at=asked_at, is_missing=is_missing)
        return self._keys.get(kid)

    def reload(self) -> None:
        """Read the database now: the keyring has just been changed by this process."""
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
        """Read the managed keys; what cannot be read takes no key away."""
        known = {row.times.kid: row.key for row in self._rows if row.key is not None}
        try:
            self._rows = tuple(self._load(known, _time(now)))
            self._is_known = True
        except Exception as error:  # whatever it is
            logger.warning("The managed signing keys could not be read: %s.", type(error).__name__)
            if isinstance(error, StoreUnavailable):
                if not self._is_known:
                    self._copy.forget()
                raise
            # Anything else is no outage: a process that has no database to ask, such as a test's.
        self._judge(now)

    def _judge(self, now: float) -> None:
        """Work out which keys are in use, the signing one first."""
        with self._judging:
            self._judge_rows(now)

    def _judge_rows(self, now: float) -> None:
        judged = judge_keys((row.times for row in self._rows), now=_time(now), hold=verify_period())
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
        """Leave the lock that a thread of the parent may hold."""
        self._judging = Lock()


def verify_period() -> timedelta:
    """How long a key that signs no more goes on verifying."""
    return verifies_for(lifetime=conf.ACCESS_TOKEN_LIFETIME, leeway=conf.CLOCK_LEEWAY)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
