"""Signatures that this process has verified: the costly part of a check, whose result cannot change."""

from __future__ import annotations

import os
from collections import deque
from hashlib import blake2b
from threading import Lock
from typing import NamedTuple

from authx.conf.gate_policy import GatePolicy
from authx.core.access_token import read_signed, window
from authx.core.claims import AccessClaims
from authx.core.jws import MAX_TOKEN_LENGTH
from authx.core.keys import Key, Keys
from authx.core.revocation_log import names_for_token

#: Tokens remembered by one process; about 2 KB each.
MAX_TOKENS = 10_000
#: Tokens remembered of one session, so that no session pushes out the others by refreshing.
MAX_TOKENS_PER_SESSION = 4


class Remembered(NamedTuple):
    """What is kept of one token."""

    claims: AccessClaims
    key: Key
    #: What the revocation log is asked about it.
    names: tuple[str, ...]
    #: Under which settings it was let in as a login's, last; None before that.
    approved_by: GatePolicy | None = None
    #: From when and until when they let it in, in seconds since the epoch.
    starts: float = 0.0
    ends: float = 0.0


class SignatureCache:
    """Claims by the digest of the whole token, in the order they were first seen.

    Only tokens that a key of ours has signed get in, so that hostile traffic cannot fill it. Time, key and
    session are not part of it: they are checked at each use. So are issuer, audience and grant, but for a
    token that the very same settings have let in before (``approve``).
    """

    def __init__(self, largest: int = MAX_TOKENS) -> None:
        self.largest = largest
        self._found: dict[bytes, Remembered] = {}
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
        digest = _digest(token)
        known = self._found.get(digest)
        if known is not None:
            if keys.find(known.key.kid) is known.key:
                return known.claims
            self._drop(digest)
        claims, key = read_signed(token, keys)
        self._keep(digest, claims, key, now)
        return claims

    def approve(self, token: str, policy: GatePolicy) -> None:
        """Remember that ``policy`` has let in a token just now, if it is kept."""
        digest = _digest(token)
        with self._lock:
            if (known := self._found.get(digest)) is not None:
                starts, ends = window(known.claims, policy.leeway)
                self._found[digest] = known._replace(approved_by=policy, starts=starts, ends=ends)

    def find_approved(self, token: str, policy: GatePolicy, keys: Keys, now: float) -> Remembered | None:
        """Return what is kept of a token that ``policy`` has let in and still does at ``now``.

        None if there is anything to look at: it is not kept, or its key is none of ``keys``.

        Raises:
            StoreUnavailable: the keys are not known.
        """
        known = None if len(token) > MAX_TOKEN_LENGTH else self._found.get(_digest(token))
        if known is None:
            return None
        _claims, key, _names, approved_by, starts, ends = known
        if approved_by is not policy or not starts <= now < ends:
            return None
        return known if keys.find(key.kid) is key else None

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
            self._found[digest] = Remembered(claims, key, names_for_token(claims))
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
        known = self._found.pop(digest, None)
        held = self._of_session.get(known.claims.sid) if known else None
        if known is None or held is None:
            return
        if digest in held:
            held.remove(digest)
        if not held:
            del self._of_session[known.claims.sid]

    def clear(self) -> None:
        """Forget all tokens, and replace the lock: after a fork, a thread of the parent may hold it."""
        self._lock = Lock()
        self._found, self._of_session = {}, {}


def _digest(token: str) -> bytes:
    # Not SHA-256: OpenSSL looks an algorithm up at each call, which costs a request twice what this does.
    return blake2b(token.encode("utf-8", "surrogatepass")).digest()


signatures = SignatureCache()
os.register_at_fork(after_in_child=signatures.clear)
