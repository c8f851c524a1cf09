"""Cookie headers that were good at an earlier request: a browser sends the same one with most pages.

A page that asks for nobody needs to know one thing of its cookies: that nothing is to be renewed. Reading
them costs more than all else that is done for it.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import NamedTuple

from authx import clocks
from authx.conf import conf
from authx.conf.gate_policy import GatePolicy
from authx.core.access_token import window
from authx.core.claims import AccessClaims
from authx.core.keys import Key
from authx.gate.keys import keyring
from authx.gate.shared_copy import drop_on_change
from authx.store.database import alias

#: Headers remembered by one process; a few hundred bytes each.
MAX_HEADERS = 10_000


class _Good(NamedTuple):
    """When the access token in a header is a credential, and by what."""

    sid: str
    policy: GatePolicy
    key: Key
    #: Seconds since the epoch.
    starts: float
    ends: float


class GoodHeaders:
    """Headers by Python's hash of them, the last one of each session.

    One that happened to have the hash of another would go without a renewal, and nothing more: no digest is
    needed. Only those get in whose access token is a credential, so that hostile traffic cannot fill it.
    Settings, key and time are looked at at each use; whether the session is alive is for whoever asks for its
    user.
    """

    def __init__(self, largest: int = MAX_HEADERS) -> None:
        self.largest = largest
        self.clear()

    def clear(self) -> None:
        """Forget all, and replace the lock: after a fork, a thread of the parent may hold it."""
        self._lock = Lock()
        self._found: dict[int, _Good] = {}
        self._of_session: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, header: str, claims: AccessClaims) -> None:
        """Remember a header with an access token of these claims, which ``read_claims`` has just let in."""
        policy, known_as = conf.gate_policy, hash(header)
        if policy.jwks_url is not None or (key := keyring.keyset().find(claims.kid)) is None:
            return  # the keys of others come and go by other rules
        good = _Good(claims.sid, policy, key, *window(claims, policy.leeway))
        with self._lock:
            self._found.pop(self._of_session.pop(claims.sid, known_as), None)
            self._found[known_as], self._of_session[claims.sid] = good, known_as
            while len(self._found) > self.largest:
                oldest = self._found.pop(next(iter(self._found)))
                self._of_session.pop(oldest.sid, None)

    def holds(self, header: str, *, if_at_hand: bool = False) -> bool:
        """Return whether the access token in a header was a credential before, and still is.

        With ``if_at_hand`` neither the database is read nor anybody asked: False where that would be needed.
        False also where anything fails: whoever reads the cookies then meets it, and no report shows them.
        """
        good = self._found.get(hash(header))
        if good is None:
            return False
        _sid, policy, key, starts, ends = good
        if policy is not conf.gate_policy or not starts <= clocks.time() < ends:
            return False
        try:
            keys = keyring.keyset_of(alias())
            return (not if_at_hand or keys.is_at_hand(key.kid)) and keys.find(key.kid) is key
        except Exception:
            return False


good_headers = GoodHeaders()
os.register_at_fork(after_in_child=good_headers.clear)
drop_on_change(good_headers.clear, "SECRET_KEY", "SECRET_KEY_FALLBACKS")
