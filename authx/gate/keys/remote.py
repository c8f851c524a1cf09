"""Another issuer's keys: fetched, kept while it is down, and never fetched more often than needed."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any

from django.core.signals import setting_changed

from authx.core.keys import Key
from authx.errors import KeyInvalid, StoreUnavailable
from authx.gate.background import RunInBackground, in_a_thread
from authx.gate.issuer_http import fetch_json

logger = logging.getLogger("authx")

#: Seconds after which a set is fetched again, and between two tries whatever happens (J10).
MAX_AGE_SECONDS, COOL_DOWN_SECONDS = 300.0, 10.0
#: Seconds after which a set is too old to go on with while it is fetched, unless it cannot be.
TOO_OLD_SECONDS = 2 * MAX_AGE_SECONDS
#: More keys than any issuer has.
MAX_KEYS = 50
#: The kinds of keys that there are today (RFC 7518 §6.1, RFC 8037 §2): an odd one of these is no oversight.
KNOWN_TYPES = {"EC", "RSA", "OKP", "oct"}


class RemoteKeys:
    """The keys of the JWK Set at one URL, by ``kid``; what the gate asks for a ``KeySet``."""

    def __init__(
        self,
        url: str,
        *,
        fetch: Callable[[str], dict[str, Any]] = fetch_json,
        clock: Callable[[], float] = time.monotonic,
        apart: RunInBackground = in_a_thread,
    ) -> None:
        self._url, self._fetch, self._clock, self._apart = url, fetch, clock, apart
        self._keys: dict[str, tuple[dict[str, Any], Key]] = {}
        self._fetched_at = self._tried_at = float("-inf")
        #: When the last fetch failed, if it did.
        self._failed_at = float("-inf")
        self._lock = Lock()

    def find(self, kid: str) -> Key | None:
        """The key of this ``kid``, or None; fetches where that may help and was not tried lately.

        Who finds the key in an old set does not wait for a new one, unless that set is very old; who does not
        find it waits for the fetch that may bring it. While the issuer is down nobody waits.

        Raises:
            StoreUnavailable: no set has ever been fetched.
        """
        known = self._keys.get(kid)
        if known is None or self._is_late:
            self._renew_now()
            if not self._keys:
                raise StoreUnavailable("the issuer's keys are not known")
        elif self._age > MAX_AGE_SECONDS:
            self._renew_apart()
        else:
            return known[1]
        known = self._keys.get(kid)
        return None if known is None else known[1]

    def is_gone(self, kid: str) -> bool:
        """True if the issuer no longer publishes this key, as far as a fetch that is allowed now can tell."""
        self._renew_now()
        return kid not in self._keys

    @property
    def _age(self) -> float:
        return self._clock() - self._fetched_at

    @property
    def _is_late(self) -> bool:
        """After a long rest: a key that was withdrawn since must not get in."""
        return self._age > TOO_OLD_SECONDS and not self._is_down

    @property
    def _is_down(self) -> bool:
        """The last fetch has failed, and not so long ago that another might not."""
        return self._clock() - self._failed_at < MAX_AGE_SECONDS

    def _renew_now(self) -> None:
        """Everybody waits for one fetch, unless the issuer is down."""
        if self._is_down:
            self._renew_apart()
            return
        with self._lock:
            if not self._is_down:  # as whoever we have waited for may have found
                self._renew()

    def _renew_apart(self) -> None:
        if self._lock.acquire(blocking=False):
            self._apart(self._renew_and_release)

    def _renew_and_release(self) -> None:
        try:
            self._renew()
        finally:
            self._lock.release()

    def _renew(self) -> None:
        """Fetch, one for all; what cannot be fetched takes no key away. The lock is held."""
        try:
            if self._clock() - self._tried_at >= COOL_DOWN_SECONDS:
                self._tried_at = self._clock()
                self._keys = self._read(self._fetch(self._url))
                self._fetched_at, self._failed_at = self._tried_at, float("-inf")
        except (StoreUnavailable, KeyInvalid) as error:
            self._failed_at = self._clock()
            logger.warning("The keys at AUTHX_JWKS_URL were not renewed: %s.", error)

    def _read(self, jwks: dict[str, Any]) -> dict[str, tuple[dict[str, Any], Key]]:
        """All or nothing: a set with anything odd in it is not the issuer's (K4)."""
        members = jwks.get("keys")
        if not isinstance(members, list) or not 0 < len(members) <= MAX_KEYS:
            raise KeyInvalid("it is no JWK Set")
        found: dict[str, tuple[dict[str, Any], Key]] = {}
        for jwk in members:
            if isinstance(jwk, dict) and isinstance(kty := jwk.get("kty"), str) and kty not in KNOWN_TYPES:
                continue  # of a kind yet to come (RFC 7517 §5)
            kid = jwk.get("kid") if isinstance(jwk, dict) else None
            if not isinstance(kid, str) or not 0 < len(kid) <= 64 or kid in found:
                raise KeyInvalid("a key has no kid of its own")
            before = self._keys.get(kid)
            # The same object while the key is the same: what was verified with it stays remembered.
            same = before is not None and before[0] == jwk
            found[kid] = before if before is not None and same else (jwk, Key.from_jwk(jwk))
        if not found:
            raise KeyInvalid("it holds no key that we can use")
        return found

    def after_fork(self) -> None:
        """Leave the lock that a thread of the parent may hold."""
        self._lock = Lock()


@lru_cache(maxsize=4)
def remote_keys(url: str) -> RemoteKeys:
    """This process's copy of the keys at ``url``."""
    found = RemoteKeys(url)
    os.register_at_fork(after_in_child=found.after_fork)
    return found


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "AUTHX_JWKS_URL":
        remote_keys.cache_clear()


setting_changed.connect(_forget, dispatch_uid="authx.gate.keys.remote")
