"""A key set that follows the managed keyring in the database."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any
from weakref import WeakSet

from authx.conf import conf
from authx.core.keyring_states import IN_USE, POLL, KeyState, KeyTimes, judge_keys, verifies_for
from authx.core.keys import Key, KeySet
from authx.errors import StoreUnavailable

logger = logging.getLogger("authx")

_INTERVAL = POLL.total_seconds()
_NEVER = float("-inf")
#: Seconds between two looks for unknown kids, while the database answers: a key may sign once it is made.
UNKNOWN = 0.5
#: Seconds after the last look in which keys may be used while another thread looks.
LATE = 60.0
#: Seconds that a process which has not read the keys yet waits between two tries.
REST = 0.5


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
        #: When the last look began, the last for an unknown kid, and between when the keys stay as they are.
        self._looked_at = self._unknown_at = self._judged_at = _NEVER
        self._changes_at = float("inf")
        #: The database has never been read, and could not be at the last try, which was then.
        self._is_unread, self._failed_at = False, _NEVER
        #: True once the database has said whether there are managed keys.
        self._is_known = False
        self._lock = Lock()
        _keyrings.add(self)

    def __iter__(self) -> Iterator[Key]:
        self._keep_up()
        self._demand_read()
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
        self._keep_up()
        self._demand_read()
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
        """The key with this ``kid``: a lookup in memory, but for the looks that the class tells of."""
        asked_at = self._clock()
        if self._rows or not self._is_known:
            self._keep_up(wait=not (self._is_known and _is_within(asked_at, self._looked_at, LATE)))
            self._demand_read()
        return self._keys.get(kid) or self._find_unknown(kid, asked_at)

    def _demand_read(self) -> None:
        if self._is_unread:
            raise StoreUnavailable("the signing keys have not been read yet")

    def look(self) -> None:
        """Take a look at the database now: the keyring has just been changed by this process."""
        with self._lock:
            self._look(self._clock())

    def _keep_up(self, *, wait: bool = True) -> None:
        """Look if that is due, and judge again if a key's time has come.

        One thread does it for all; whoever need not ``wait`` goes on with the keys there are.
        """
        if self._is_up_to_date(self._clock()) or not self._lock.acquire(blocking=wait):
            return
        try:
            now = self._clock()
            if not self._is_up_to_date(now):  # nobody has looked while we waited
                self._look_or_judge(now)
        finally:
            self._lock.release()

    def _is_up_to_date(self, now: float) -> bool:
        if self._is_unread:
            return 0 <= now - self._failed_at < REST
        return _is_within(now, self._looked_at) and self._judged_at <= now < self._changes_at

    def _look_or_judge(self, now: float) -> None:
        if _is_within(now, self._looked_at) and not self._is_unread:
            self._judge(now)
        else:
            self._look(now)

    def _find_unknown(self, kid: str, asked_at: float) -> Key | None:
        """Look whether it was made meanwhile, if nobody just has; who comes while one looks waits (J10).

        A look that began after ``asked_at`` need not be repeated; one from before may have missed the key.
        """
        with self._lock:
            now = self._clock()
            rests = _is_within(now, self._unknown_at, UNKNOWN) or _is_within(now, self._failed_at)
            if kid not in self._keys and not rests:
                self._unknown_at = now
                if not asked_at <= self._looked_at <= now:
                    self._look(now)
            return self._keys.get(kid)

    def _look(self, now: float) -> None:
        """Read the managed keys. The lock is held."""
        known = {row.times.kid: row.key for row in self._rows if row.key is not None}
        try:
            self._rows = tuple(self._load(known, _time(now)))
            self._is_known, self._is_unread = True, False
        except Exception as error:  # whatever it is: what cannot be read takes no key away
            logger.warning("The managed signing keys could not be read: %s.", type(error).__name__)
            # Anything else is no outage: a process that has no database to ask, such as a test's.
            is_outage = isinstance(error, StoreUnavailable)
            self._is_unread = is_outage and not self._is_known
            self._failed_at = now if is_outage else _NEVER
        self._judge(now)
        self._looked_at = now  # not before: who must not sign with old keys waits until they are read

    def _judge(self, now: float) -> None:
        """Work out which keys are in use, the signing one first. The lock is held."""
        judged = judge_keys((row.times for row in self._rows), now=_time(now), hold=hold())
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
        self._changes_at = judged.changes_at.timestamp() if judged.changes_at else float("inf")

    def after_fork(self) -> None:
        """Leave the lock that a thread of the parent may hold."""
        self._lock = Lock()


def hold() -> timedelta:
    """How long a key that signs no more goes on verifying."""
    return verifies_for(lifetime=conf.ACCESS_TOKEN_LIFETIME, leeway=conf.CLOCK_LEEWAY)


def _is_within(now: float, then: float, interval: float = _INTERVAL) -> bool:
    """True within ``interval`` seconds after ``then``; a clock that was put back is not waited for."""
    return 0 <= now - then < interval


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


#: All there are, for a forked process; normally one.
_keyrings: WeakSet[Keyring] = WeakSet()


def _after_fork() -> None:
    for keyring in list(_keyrings):
        keyring.after_fork()


os.register_at_fork(after_in_child=_after_fork)
