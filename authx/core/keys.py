"""Signing keys, and the sets they come in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.utils import base64url_encode

from authx.core import strict_json
from authx.core.algorithms import (
    IMPLEMENTATIONS,
    SECRET_MEMBERS,
    THUMBPRINT_MEMBERS,
    PrivateKey,
    PublicKey,
    fitting,
    thumbprint_members,
)
from authx.core.derivation import derive
from authx.core.sentences import sentence as _
from authx.errors import KeyInvalid

#: The order of P-256's group (FIPS 186-5, SP 800-186 §3.2.1.3).
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class Key:
    """One asymmetric key, bound to one algorithm (RFC 8725 §3.1)."""

    #: RFC 7638 thumbprint, SHA-256, base64url: 43 characters.
    kid: str
    #: ES256, RS256, PS256 or EdDSA.
    alg: str
    _public: PublicKey = field(repr=False, compare=False)
    _private: PrivateKey | None = field(repr=False, compare=False)

    @classmethod
    def derive(cls, secret: str | bytes) -> Key:
        """Derive an ES256 key from ``secret``, the same one at every call.

        Raises:
            KeyInvalid: the secret is empty.
        """
        # 48 bytes for a 32-byte scalar: the remainder's bias is below 2**-128 (FIPS 186-5 §A.2.1).
        seed = derive(secret, b"authx/signing/ES256/v1", length=48)
        scalar = int.from_bytes(seed) % (_P256_ORDER - 1) + 1
        return cls._of(ec.derive_private_key(scalar, ec.SECP256R1()), None)

    @classmethod
    def load(cls, source: str | bytes, *, alg: str | None = None, password: str | bytes | None = None) -> Key:
        """Read a PEM key, private or public; ``alg`` is the type's usual one if None.

        Raises:
            KeyInvalid: it is unreadable, too weak, or not for ``alg``. The text contains no part
                of the key.
        """
        pem, phrase = _as_bytes(source), None if password is None else _as_bytes(password)
        try:
            if b"PRIVATE KEY-----" in pem:
                return cls._of(load_pem_private_key(pem, phrase), alg)
            return cls._of(load_pem_public_key(pem), alg)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # TypeError: a password is missing, or given for a key that has none.
            raise KeyInvalid("the key cannot be read: not PEM, or not with this password") from None

    @classmethod
    def from_jwk(cls, jwk: dict[str, Any]) -> Key:
        """Read a public signing key as an issuer publishes it (RFC 7517 §4), and keep its ``kid``.

        Raises:
            KeyInvalid: it is private, symmetric, for another use, too weak, or not for its ``alg``.
        """
        alg, uses = jwk.get("alg"), jwk.get("key_ops", ["verify"])
        if (
            not isinstance(alg, str)
            or alg not in IMPLEMENTATIONS
            or str(jwk.get("kty")) not in THUMBPRINT_MEMBERS
        ):
            raise KeyInvalid(_("the key is for no algorithm of ours"))
        if jwk.get("use", "sig") != "sig" or not isinstance(uses, list) or "verify" not in uses:
            raise KeyInvalid(_("the key is not for verifying signatures"))
        if jwk.keys() & SECRET_MEMBERS:
            raise KeyInvalid(_("the key is not public"))
        try:
            public = IMPLEMENTATIONS[alg].from_jwk(jwk)
        except (jwt.InvalidKeyError, ValueError, TypeError, KeyError):
            raise KeyInvalid(_("the key is not what its JWK says")) from None
        return replace(cls._of(public, alg), kid=str(jwk.get("kid")))

    @classmethod
    def _of(cls, key: object, alg: str | None) -> Key:
        private = key if isinstance(key, PrivateKey) else None
        public = private.public_key() if private else key
        if not isinstance(public, PublicKey):
            raise KeyInvalid(_("the key is neither RSA nor P-256 nor Ed25519"))
        names = fitting(public)
        if alg is not None and alg not in names:
            raise KeyInvalid(_("the key is for %(names)s, not for %(alg)s", names="/".join(names), alg=alg))
        alg = alg or names[0]
        kid = base64url_encode(sha256(strict_json.dumps(thumbprint_members(alg, public))).digest())
        return cls(kid.decode(), alg, public, private)

    @property
    def can_sign(self) -> bool:
        """Return whether the private half is here."""
        return self._private is not None

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature, as JWS has it (RFC 7515 §5.1).

        Raises:
            KeyInvalid: only the public half is here.
        """
        if self._private is None:
            raise KeyInvalid(f"the key {self.kid} has no private half")
        signature: bytes = IMPLEMENTATIONS[self.alg].sign(message, self._private)
        return signature

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is this key's for ``message``."""
        valid: bool = IMPLEMENTATIONS[self.alg].verify(message, self._public, signature)
        return valid

    def public_jwk(self) -> dict[str, str]:
        """Return the public half as a JWK (RFC 7517 §4)."""
        return thumbprint_members(self.alg, self._public) | {"kid": self.kid, "use": "sig", "alg": self.alg}


class Keys(Protocol):
    """The keys that verify tokens: our own set, or another issuer's."""

    def find(self, kid: str) -> Key | None:
        """Return the key with this ``kid``, or None."""


class KeySet:
    """The keys a token may be signed with; the first one signs."""

    def __init__(self, keys: Iterable[Key], *, verify_only: bool = False) -> None:
        """Hold ``keys``, each once; a ``verify_only`` set may be empty and need not sign.

        Raises:
            KeyInvalid: the first cannot sign, or one key came with two algorithms.
        """
        self._keys: dict[str, Key] = {}
        for key in keys:
            if self._keys.setdefault(key.kid, key).alg != key.alg:
                raise KeyInvalid(f"the key {key.kid} is given for two algorithms")
        if not verify_only and not self.signing.can_sign:
            raise KeyInvalid(f"the key {self.signing.kid} comes first and has no private half")

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    @property
    def signing(self) -> Key:
        """Return the key that signs.

        Raises:
            KeyInvalid: there is none.
        """
        for key in self:
            return key
        raise KeyInvalid("there is no key")

    def find(self, kid: str) -> Key | None:
        """Return the key with this ``kid``, or None; a lookup in memory and nothing else."""
        return self._keys.get(kid)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the JWK Set to publish (RFC 7517 §5)."""
        return {"keys": [key.public_jwk() for key in self]}


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
