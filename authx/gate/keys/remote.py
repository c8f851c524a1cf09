"""Another issuer's keys: fetched, kept while it is down, and never fetched more often than needed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from authx import clocks, metrics
from authx.core.freshness import Policy
from authx.core.keys import Key
from authx.errors import KeyInvalid, StoreUnavailable
from authx.gate.background import RunInBackground, in_a_thread
from authx.gate.issuer_http import fetch_json
from authx.gate.shared_copy import SharedCopy, drop_on_change

logger = logging.getLogger("authx")

#: Seconds after which a set is fetched again, and least seconds between two tries, whatever their outcome.
MAX_AGE_SECONDS, COOL_DOWN_SECONDS = 300.0, 10.0
#: Seconds after which a set is too old to be used while it is fetched, unless fetching fails.
TOO_OLD_SECONDS = 2 * MAX_AGE_SECONDS
#: While the issuer is down, no caller waits for it, for as long as a set is current.
POLICY = Policy(
    renew_after=MAX_AGE_SECONDS,
    wait_after=TOO_OLD_SECONDS,
    failing_for=MAX_AGE_SECONDS,
    cool_down=COOL_DOWN_SECONDS,
)
#: More keys than any issuer has.
MAX_KEYS = 50
#: The types of keys that exist today (RFC 7518 §6.1, RFC 8037 §2): a malformed key of these is not skipped.
KNOWN_TYPES = {"EC", "RSA", "OKP", "oct"}


class RemoteKeys:
    """The keys of the JWK Set at one URL, by ``kid``; the gate uses it in place of a ``KeySet``."""

    def __init__(
        self,
        url: str,
        *,
        fetch: Callable[[str], dict[str, Any]] = fetch_json,
        clock: Callable[[], float] = clocks.monotonic,
        run_in_background: RunInBackground = in_a_thread,
    ) -> None:
        self._url, self._fetch = url, fetch
        self._keys: dict[str, tuple[dict[str, Any], Key]] = {}
        self._copy = SharedCopy(
            self._renew, clock=clock, run_in_background=run_in_background, name="issuer_keys"
        )

    def find(self, kid: str) -> Key | None:
        """Return the key of this ``kid``, or None; fetch where that may help and was not tried lately.

        A caller whose key is in an old set does not wait for a new one, unless that set is very old; a caller
        whose key is not in it waits for the fetch that may bring it. While the issuer is down, none waits.

        Raises:
            StoreUnavailable: no set has ever been fetched.
        """
        is_missing = None if kid in self._keys else lambda: kid not in self._keys
        if not self._copy.ensure_fresh(POLICY, is_missing=is_missing):
            raise StoreUnavailable("the issuer's keys are not known")
        known = self._keys.get(kid)
        return None if known is None else known[1]

    def is_gone(self, kid: str) -> bool:
        """Return whether the issuer no longer publishes this key, as far as a fetch allowed now can tell."""
        self._copy.ensure_fresh(POLICY, is_missing=lambda: True)
        return kid not in self._keys

    def _renew(self, now: float) -> None:
        """Fetch the keys; a failed fetch removes no key."""
        try:
            self._keys = self._read(self._fetch(self._url))
        except (StoreUnavailable, KeyInvalid) as error:
            metrics.STORE_FAILURES.count(store="issuer")
            logger.warning(
                "The keys at AUTHX_JWKS_URL were not renewed: %s.",
                error,
                extra={"event": "issuer_keys_not_renewed"},
            )
            raise StoreUnavailable("the issuer's keys were not renewed") from error

    def _read(self, jwks: dict[str, Any]) -> dict[str, tuple[dict[str, Any], Key]]:
        """Read all of a JWK Set or nothing: one with anything odd in it is not taken for the issuer's."""
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
            # The same object while the key is the same: signatures verified with it stay cached.
            same = before is not None and before[0] == jwk
            found[kid] = before if before is not None and same else (jwk, Key.from_jwk(jwk))
        if not found:
            raise KeyInvalid("it holds no key that we can use")
        return found


@lru_cache(maxsize=4)
def remote_keys(url: str) -> RemoteKeys:
    """Return this process's copy of the keys at ``url``."""
    return RemoteKeys(url)


drop_on_change(remote_keys.cache_clear, "AUTHX_JWKS_URL")
