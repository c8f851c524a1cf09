"""Whether two processes are configured alike: one hash of all that tokens and cookies depend on.

It is in the gate because a view shows it (``ready/``), and views may not import the checks.
"""

from __future__ import annotations

import hmac
import json
from datetime import timedelta
from hashlib import sha256
from typing import Any

from authx.conf import conf, secret_keys
from authx.core.derivation import derive_secret
from authx.gate.keys import keyring

#: The settings in which a process that issues and one that accepts must agree.
AGREED_SETTINGS = (
    "ISSUER",
    "AUDIENCE",
    "ACCESS_TOKEN_LIFETIME",
    "IDLE_LIFETIME",
    "SESSION_LIFETIME",
    "REFRESH_GRACE",
    "CLOCK_LEEWAY",
    "CLIENT_ID",
    "SUBJECT_FIELD",
    "SESSION_LIMITS",
    "DEVICE_TYPES",
    "REVOCATION_STORE",
    "REVOCATION_LAG",
    "ACCESS_COOKIE",
    "REFRESH_COOKIE",
    "DEVICE_COOKIE",
    "COOKIE_SECURE",
    "COOKIE_SAMESITE",
    "COOKIE_PARTITIONED",
    "COOKIE_ENCRYPTION",
    "JWKS_URL",
    "REVOCATIONS_URL",
    "INTROSPECTION_URL",
)


def parts() -> dict[str, str]:
    """Return a hash of each of ``AGREED_SETTINGS``, of the keys and the secrets; none reveals its input."""
    hashes = {f"AUTHX_{name}": _short_hash(getattr(conf, name)) for name in AGREED_SETTINGS}
    hashes["AUTHX_SIGNING_KEYS"] = _short_hash([(key.kid, key.alg) for key in keyring.keyset().given])
    marks = [derive_secret(secret, "agreement") for secret in secret_keys()]
    hashes["SECRET_KEY"] = _short_hash([sha256(mark).hexdigest() for mark in marks])
    return hashes


def fingerprint() -> str:
    """Return 16 hex digits, the same in every process that is configured as this one."""
    return _short_hash(parts())


def agrees(expected: str) -> bool:
    """Return whether ``expected`` is our fingerprint, in any case and with spaces around it."""
    return hmac.compare_digest(expected.strip().lower().encode(), fingerprint().encode())


def _short_hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=_plain)
    return sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else str(value)
