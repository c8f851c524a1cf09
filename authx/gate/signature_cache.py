"""Signatures that this process has verified: the costly part of a check, whose result cannot change."""

from __future__ import annotations

import os
from collections import deque
from hashlib import sha256
from threading import Lock

from authx.core.access_token import read_signed
from authx.core.claims import AccessClaims
from authx.core.jws import MAX_TOKEN_LENGTH
from authx.core.keys import Key, Keys

#: Tokens remembered by one process; about 2 KB each.
MAX_TOKENS = 10_000
#: Tokens remembered of one session, so that no session pushes out the others by refreshing.
MAX_TOKENS_PER_SESSION = 4


class SignatureCache:
    """Claims by the digest of the whole token, in the order they were first seen.

    Only tokens that a key of ours has signed get in, so that hostile traffic cannot fill it. Time, issuer,
    audience and session are not part of it: they are checked at each use.
    """

    def __init__(self, largest: int = MAX_TOKENS) -> None:
        self.largest = largest
        self._found: dict[bytes, tuple[AccessClaims, Key]] = {}
        self._of_session: dict[str, deque[bytes]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._found)

    def read(self, token: object, keys: Keys, *, now: float) -> AccessClaims:
        """Return the claims from ``read_signed``, or the cached ones while the same key is one of ``keys``.

        ``now`` is seconds since the epoch; tokens that have expired by then make room.

        Raises:
            TokenMalformed, KeyUnknown: see ``read_signed``.
        """
        if not isinstance(token, str) or len(token) > MAX_TOKEN_LENGTH:
            return read_signed(token, keys)[0]  # refused there
        digest = sha256(token.encode(errors="surrogatepass")).digest()
        known = self._found.get(digest)
        if known is not None:
            claims, key = known
            if keys.find(key.kid) is key:
                return claims
            self._drop(digest)
        claims, key = read_signed(token, keys)
        self._keep(digest, claims, key, now)
        return claims

    def _keep(self, digest: bytes, claims: AccessClaims, key: Key, now: float) -> None:
        if claims.exp <= now:
            return
        with self._lock:
            if digest in self._found:
                return  # another thread was first
            held = self._of_session.setdefault(claims.sid, deque())
            if len(held) >= MAX_TOKENS_PER_SESSION:
                self._found.pop(held.popleft(), None)
            held.append(digest)
            self._found[digest] = claims, key
            self._evict(now)

    def _evict(self, now: float) -> None:
        """Forget the oldest tokens while they have expired, or there are too many."""
        while self._found:
            oldest = next(iter(self._found))
            if len(self._found) <= self.largest and self._found[oldest][0].exp > now:
                return
            self._remove(oldest)

    def _drop(self, digest: bytes) -> None:
        with self._lock:
            self._remove(digest)

    def _remove(self, digest: bytes) -> None:
        claims, _key = self._found.pop(digest, (None, None))
        held = self._of_session.get(claims.sid) if claims else None
        if claims is None or held is None:
            return
        if digest in held:
            held.remove(digest)
        if not held:
            del self._of_session[claims.sid]

    def clear(self) -> None:
        """Forget all tokens, and replace the lock: after a fork, a thread of the parent may hold it."""
        self._lock = Lock()
        self._found, self._of_session = {}, {}


signatures = SignatureCache()
os.register_at_fork(after_in_child=signatures.clear)
