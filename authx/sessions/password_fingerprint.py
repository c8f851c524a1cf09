"""The fingerprint of a user's password, which a session has of the one with which it was opened.

Django's session auth hash takes three hashes of OpenSSL, which a request of the database's mode asks for each
time. So a process remembers what they came to, by a digest of the password's own hash.
"""

from __future__ import annotations

import os
from hashlib import blake2b, sha256
from threading import Lock
from typing import Any, Final

from django.contrib.auth import base_user
from django.utils.crypto import constant_time_compare

from authx.core.user_model import session_auth_fallback_hashes, session_auth_hash
from authx.gate.shared_copy import drop_on_change

#: Fingerprints that one process remembers; about 300 bytes each.
MAX_KNOWN: Final = 10_000


def fingerprint(user: Any) -> str:
    """Return SHA-256 hex of the user's session auth hash: changes with the password, does not reveal it."""
    kind: Any = type(user)
    if not _is_of_password_alone(kind):
        return fingerprint_of(session_auth_hash(user))
    key = blake2b(str(user.password).encode()).digest()  # a model of its own may have None
    found = _known.get(key)
    return _remember(key, fingerprint_of(session_auth_hash(user))) if found is None else found


def fingerprint_of(auth_hash: str) -> str:
    """Return the fingerprint of a session auth hash, such as Django keeps in its sessions."""
    return sha256(auth_hash.encode()).hexdigest()


def has_fingerprint(user: Any, stored: str) -> bool:
    """Return whether ``stored`` was taken from the current password, also under a fallback key."""
    if constant_time_compare(stored, fingerprint(user)):
        return True
    fallbacks = session_auth_fallback_hashes(user)
    return any(constant_time_compare(stored, fingerprint_of(found)) for found in fallbacks)


def renewed_fingerprint(user: Any, stored: str) -> str:
    """Return ``stored`` as taken under the current key; as it is, where it is not of this user's password.

    One taken under a fallback SECRET_KEY stops matching when that key is dropped, so a session that lives on
    needs a new one.
    """
    return fingerprint(user) if has_fingerprint(user, stored) else stored


def _is_of_password_alone(kind: type) -> bool:
    """Return whether these users have the session auth hash of Django, which their password alone changes.

    Told by where its code was written: a site may have put its own into Django's class.
    """
    for name in ("get_session_auth_hash", "_get_session_auth_hash"):
        code = getattr(getattr(kind, name, None), "__code__", None)
        if code is None or code.co_filename != base_user.__file__:
            return False
    return True


_known: dict[bytes, str] = {}
_lock = Lock()


def _remember(key: bytes, found: str) -> str:
    with _lock:
        _known[key] = found
        while len(_known) > MAX_KNOWN:
            del _known[next(iter(_known))]
    return found


def _after_fork() -> None:
    global _lock
    _lock = Lock()


drop_on_change(_known.clear, "SECRET_KEY")
os.register_at_fork(after_in_child=_after_fork)
