"""Proof Key for Code Exchange, with S256 and no other method (RFC 7636, RFC 9700 §2.1.1)."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import Final

from jwt.utils import base64url_encode

from authx.core.derivation import DIGEST

METHOD: Final = "S256"

_CHALLENGE: Final = re.compile(DIGEST)
#: RFC 7636 §4.1.
_VERIFIER: Final = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


def is_challenge(text: str) -> bool:
    """Return whether some verifier may have ``text`` for its challenge."""
    return _CHALLENGE.fullmatch(text) is not None


def is_verifier(text: str) -> bool:
    """Return whether ``text`` is 43 to 128 characters that a verifier is made of."""
    return _VERIFIER.fullmatch(text) is not None


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of ``verifier``, 43 characters (RFC 7636 §4.2)."""
    return base64url_encode(sha256(verifier.encode()).digest()).decode()


def is_verified(verifier: str, challenge: str) -> bool:
    """Return whether ``verifier`` is well made and has this challenge; compares in constant time."""
    return is_verifier(verifier) and hmac.compare_digest(challenge_of(verifier), challenge)
