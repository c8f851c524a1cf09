"""The private halves of managed keys: made, encrypted under SECRET_KEY, read back, never shown."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache

from cryptography.fernet import InvalidToken, MultiFernet
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.views.decorators.debug import sensitive_variables

from authx.conf import secret_keys
from authx.core.algorithms import PrivateKey
from authx.core.derivation import fernet
from authx.core.keys import Key
from authx.errors import KeyInvalid
from authx.models import SigningKey

logger = logging.getLogger("authx")

_PURPOSE = "keyring"
ALGORITHMS = ("ES256", "EdDSA", "RS256", "PS256")


@sensitive_variables()
def generate(alg: str) -> tuple[Key, str, bytes]:
    """Generate a key for one of ``ALGORITHMS``; return it with its public PEM text and private PEM bytes."""
    while True:
        made = _fresh(alg)
        private = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        key = Key.load(private, alg=alg)
        if not key.kid.startswith("-"):  # a shell would take that for an option
            return key, public.decode(), private


def _fresh(alg: str) -> PrivateKey:
    if alg == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 3072)


@sensitive_variables()
def key_of(row: SigningKey, known: Mapping[str, Key]) -> Key | None:
    """Return the key of a row; None if it cannot be decrypted, or does not match the row.

    The private half is decrypted even if the key only verifies: that the ciphertext is ours shows that nobody
    has put their own public key into the table.
    """
    key = known.get(row.kid)
    if key is not None and key.alg == row.alg:
        return key
    try:
        key = Key.load(_fernet().decrypt(row.encrypted_private_key), alg=row.alg)
    except (InvalidToken, KeyInvalid):
        key = None
    if key is None or key.kid != row.kid:
        _complain(row.kid)
        return None
    return key


@lru_cache(maxsize=64)
def _complain(kid: str) -> None:
    """Log the failure, once for each key: the table is read every few seconds."""
    logger.error(
        "The managed signing key %s cannot be decrypted with SECRET_KEY or a fallback.",
        kid,
        extra={"event": "key_not_decrypted"},
    )


@sensitive_variables()
def renewed(encrypted: str) -> str | None:
    """Encrypt anew under the first SECRET_KEY; return None if it is already, or cannot be decrypted."""
    try:
        fernet(secret_keys()[:1], _PURPOSE).decrypt(encrypted)
    except InvalidToken:
        try:
            return _fernet().rotate(encrypted).decode()
        except InvalidToken:
            return None
    return None


@sensitive_variables()
def encrypt(private: bytes) -> str:
    """Encrypt a private half, for its row."""
    return _fernet().encrypt(private).decode()


def _fernet() -> MultiFernet:
    return fernet(secret_keys(), _PURPOSE)
