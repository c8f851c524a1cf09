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
from authx.gate.fetch import fetch_json

logger = logging.getLogger("authx")

#: Seconds after which a set is fetched again, and between two tries whatever happens (J10).
MAX_AGE, COOL_DOWN = 300.0, 10.0
#: More keys than any issuer has.
MOST_KEYS = 50


class RemoteKeys:
    """The keys of the JWK Set at one URL, by ``kid``; what the gate asks for a ``KeySet``."""

    def __init__(
        self,
        url: str,
        *,
        fetch: Callable[[str], dict[str, Any]] = fetch_json,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._fetch, self._clock = url, fetch, clock
        self._keys: dict[str, tuple[dict[str, Any], Key]] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._lock = Lock()

    def find(self, kid: str) -> Key | None:
        """The key of this ``kid``, or None; fetches where that may help and was not tried lately.

        Raises:
            StoreUnavailable: no set has ever been fetched.
        """
        known = self._keys.get(kid)
        if known is None or self._clock() - self._fetched_at > MAX_AGE:
            self._renew(must=not self._keys)
            known = self._keys.get(kid)
        return None if known is None else known[1]

    def _renew(self, *, must: bool) -> None:
        """Fetch, one for all; who has keys does not wait for it, and goes on with them if it fails."""
        if not self._lock.acquire(blocking=must):
            return
        try:
            if self._clock() - self._tried_at >= COOL_DOWN:
                self._tried_at = self._clock()
                self._keys = self._read(self._fetch(self._url))
                self._fetched_at = self._tried_at
        except (StoreUnavailable, KeyInvalid) as error:
            logger.warning("The keys at AUTHX_JWKS_URL were not renewed: %s.", error)
        finally:
            self._lock.release()
        if not self._keys:
            raise StoreUnavailable("the issuer's keys are not known")

    def _read(self, jwks: dict[str, Any]) -> dict[str, tuple[dict[str, Any], Key]]:
        """All or nothing: a set with anything odd in it is not the issuer's (K4)."""
        members = jwks.get("keys")
        if not isinstance(members, list) or not 0 < len(members) <= MOST_KEYS:
            raise KeyInvalid("it is no JWK Set")
        found: dict[str, tuple[dict[str, Any], Key]] = {}
        for jwk in members:
            kid = jwk.get("kid") if isinstance(jwk, dict) else None
            if not isinstance(kid, str) or not 0 < len(kid) <= 64 or kid in found:
                raise KeyInvalid("a key has no kid of its own")
            before = self._keys.get(kid)
            # The same object while the key is the same: what was verified with it stays remembered.
            same = before is not None and before[0] == jwk
            found[kid] = before if before is not None and same else (jwk, Key.from_jwk(jwk))
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


setting_changed.connect(_forget, dispatch_uid="authx.gate.jwks")
