"""Keys derived from the site's secrets, one for each purpose, and the signers and ciphers that use them."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import Signer

from authx.errors import KeyInvalid

#: The pattern of SHA-256, and of what ``signer`` signs with, in base64url: 32 octets in 43 characters leave
#: two spare bits, which must be zero, so that there is one spelling alone.
DIGEST: Final = r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"


@lru_cache(maxsize=64)
def derive_secret(secret: str | bytes, purpose: str) -> bytes:
    """Derive 32 bytes from ``secret`` for ``purpose``.

    No two purposes share a key, so that a value made for one fails for all others
    (RFC 8725 §3.1).

    Raises:
        KeyInvalid: the secret is empty.
    """
    return derive(secret, b"authx/" + purpose.encode(), length=32)


def derive(secret: str | bytes, info: bytes, *, length: int) -> bytes:
    """Derive ``length`` bytes from ``secret`` and ``info`` (RFC 5869).

    Raises:
        KeyInvalid: the secret is empty, or neither text nor bytes.
    """
    if not secret or not isinstance(secret, str | bytes):
        raise KeyInvalid("a secret is empty, or neither text nor bytes")
    hkdf = HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info)
    return hkdf.derive(secret.encode() if isinstance(secret, str) else secret)


def keyed_hash(secret: str | bytes, purpose: str, text: str) -> str:
    """Return HMAC-SHA256 hex of ``text``, 64 characters, under the key derived for ``purpose``."""
    return hmac.new(derive_secret(secret, purpose), text.encode(), sha256).hexdigest()


def signer(secrets: Sequence[str | bytes], purpose: str, *, salt: bytes) -> Signer:
    """Return a signer that signs with the first of ``secrets`` and accepts the signatures of all."""
    # itsdangerous signs with the last key.
    keys = [derive_secret(secret, purpose) for secret in reversed(secrets)]
    return Signer(keys, salt=salt, key_derivation="hmac", digest_method=sha256)


@lru_cache(maxsize=8)
def fernet(secrets: tuple[str | bytes, ...], purpose: str) -> MultiFernet:
    """Return a cipher that encrypts with the first of ``secrets`` and decrypts with any of them."""
    keys = (base64.urlsafe_b64encode(derive_secret(secret, purpose)) for secret in secrets)
    return MultiFernet([Fernet(key) for key in keys])
