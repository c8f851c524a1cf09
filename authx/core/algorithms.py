"""The algorithms that sign, the keys that fit each of them, and the members of their JWKs."""

from __future__ import annotations

from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from authx.core.sentences import sentence as _
from authx.errors import KeyInvalid

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

#: The implementation of each algorithm.
IMPLEMENTATIONS: Final[dict[str, Any]] = {
    alg: jwt.get_algorithm_by_name(alg) for alg in ("ES256", "RS256", "PS256", "EdDSA")
}
#: The members that make up a thumbprint (RFC 7638 §3.2, RFC 8037 §2); all of them public.
THUMBPRINT_MEMBERS: Final = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}
#: What a public JWK never holds (RFC 7518 §6, RFC 8037 §2).
SECRET_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def thumbprint_members(alg: str, public: PublicKey) -> dict[str, str]:
    """Return the members of the key's JWK that make up its thumbprint."""
    jwk = IMPLEMENTATIONS[alg].to_jwk(public, as_dict=True)
    return {name: jwk[name] for name in THUMBPRINT_MEMBERS[jwk["kty"]]}


def fitting(public: PublicKey) -> tuple[str, ...]:
    """Return the algorithms that the key is for, the usual one first (RFC 7518 §3).

    Raises:
        KeyInvalid: it is too weak, or on another curve.
    """
    if isinstance(public, ed25519.Ed25519PublicKey):
        return ("EdDSA",)
    if isinstance(public, ec.EllipticCurvePublicKey):
        if not isinstance(public.curve, ec.SECP256R1):
            raise KeyInvalid(_("the curve is %(name)s, not P-256", name=public.curve.name))
        return ("ES256",)
    if public.key_size < 2048 or public.public_numbers().e < 65537:
        raise KeyInvalid(_("an RSA key needs 2048 bits and a public exponent of 65537, or more"))
    return ("RS256", "PS256")
