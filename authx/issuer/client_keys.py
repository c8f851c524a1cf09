"""The public keys of clients that sign assertions: registered, or fetched from their ``jwks_uri``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from secrets import token_bytes
from typing import Any, Final

from django.views.decorators.debug import sensitive_variables

from authx import clocks
from authx.core.client_keys import find_jwk
from authx.core.freshness import Policy
from authx.core.jws import object_of
from authx.core.keys import Key
from authx.errors import StoreUnavailable, TokenMalformed
from authx.gate.background import RunInBackground, in_a_thread
from authx.gate.issuer_http import fetch_json
from authx.gate.shared_copy import SharedCopy
from authx.models import ServiceClient

logger = logging.getLogger("authx")

#: Most bytes of a set of keys, and most sets that a process keeps.
MAX_BYTES, MAX_SETS = 64 * 1024, 256
#: While the client's server is down nobody waits for it, and its keys are good for a day: it cannot withdraw
#: one meanwhile.
POLICY: Final = Policy(
    renew_after=300.0, wait_after=600.0, refuse_after=86_400.0, failing_for=300.0, cool_down=10.0
)


def keys_of(client: ServiceClient, assertion: str) -> Mapping[str, Any]:
    """Return the client's JWK set; from its ``jwks_uri`` one that has the assertion's key, if it can be had.

    Raises:
        StoreUnavailable: the keys at its ``jwks_uri`` have not been fetched for a day, or ever.
    """
    if client.jwks_uri:
        return fetched_keys(client.jwks_uri).current(_kid_of(assertion))
    return client.jwks or {}


@lru_cache(maxsize=1)
def nobodys_keys() -> Mapping[str, Any]:
    """Return a key that nobody has: an unknown client's signature is checked too, which takes as long."""
    return {"keys": [Key.derive(token_bytes(32)).public_jwk()]}


@sensitive_variables("assertion")
def _kid_of(assertion: str) -> str | None:
    """Return the ``kid`` that an unchecked assertion names; None if it names none."""
    try:
        kid = object_of(assertion.partition(".")[0]).get("kid")
    except TokenMalformed:
        return None
    return kid if isinstance(kid, str) else None


def _fetch(url: str) -> dict[str, Any]:
    return fetch_json(url, max_bytes=MAX_BYTES, public_only=True)


class FetchedKeys:
    """This process's copy of the JWK set at one ``jwks_uri``."""

    def __init__(
        self,
        url: str,
        *,
        fetch: Callable[[str], dict[str, Any]] = _fetch,
        clock: Callable[[], float] = clocks.monotonic,
        run_in_background: RunInBackground = in_a_thread,
    ) -> None:
        self._url, self._fetch = url, fetch
        self._jwks: dict[str, Any] = {}
        self._copy = SharedCopy(
            self._renew, clock=clock, run_in_background=run_in_background, name="client_keys"
        )

    def current(self, kid: str | None) -> dict[str, Any]:
        """Return the set; fetched again, at most every ten seconds, if it has no key of this name.

        Raises:
            StoreUnavailable: it was never fetched, or not for a day.
        """
        is_missing = None if self._has(kid) else lambda: not self._has(kid)
        if not self._copy.ensure_fresh(POLICY, is_missing=is_missing):
            raise StoreUnavailable("the client's keys are not known")
        return self._jwks

    def _has(self, kid: str | None) -> bool:
        return find_jwk(self._jwks, kid) is not None

    def _renew(self, now: float) -> None:
        """Fetch the set; a failed fetch changes nothing."""
        try:
            self._jwks = self._fetch(self._url)
        except StoreUnavailable as error:
            logger.warning(
                "The keys at a client's jwks_uri, %s, were not renewed: %s.",
                self._url,
                error,
                extra={"event": "client_keys_not_renewed"},
            )
            raise


@lru_cache(maxsize=MAX_SETS)
def fetched_keys(url: str) -> FetchedKeys:
    """Return this process's copy of the keys at ``url``."""
    return FetchedKeys(url)
