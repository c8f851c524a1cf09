"""The refresh token on the wire: which session, which generation, which branch, and two MACs.

Every token of a generation is as good as any other, so a lost answer can be made again, storing no
token; the branch, a random number, only says which answer it came from.

The signature keeps forgeries away from the database: checking it needs only the site's secret. The
proof also needs the session's salt, which only its row holds, so neither the secret alone nor
the database alone is enough to make a token.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from uuid import UUID

from itsdangerous import BadSignature, Signer, base64_decode, base64_encode

from authx.core.derivation import DIGEST, derive_secret, signer
from authx.errors import RefreshMalformed

#: The size of a branch: a positive 64-bit column holds it, and the payload has no spare bits.
BRANCH_BITS: Final = 48

#: 42 octets, a dot, the signature.
_WIRE: Final = re.compile(rf"[A-Za-z0-9_-]{{56}}\.{DIGEST}")


@dataclass(frozen=True, slots=True)
class RefreshClaims:
    """The content of a refresh token with a valid signature; ``is_genuine`` must still be checked."""

    sid: UUID
    generation: int
    branch: int
    proof: bytes = field(repr=False)  # 16 octets


def write_refresh_token(
    sid: UUID, generation: int, branch: int, salt: bytes, secrets: Sequence[str | bytes]
) -> str:
    """Return the refresh token of ``sid`` at ``generation`` and ``branch``; the first secret signs.

    The same arguments give the same token.

    Raises:
        OverflowError: ``generation`` does not fit in 4 octets, or ``branch`` not in BRANCH_BITS.
    """
    claimed = _claimed(sid, generation, branch)
    payload = claimed + _proof(claimed, salt, secrets[0])
    return _signer(secrets).sign(base64_encode(payload)).decode()


def read_refresh_token(token: object, secrets: Sequence[str | bytes]) -> RefreshClaims:
    """Read a refresh token signed with any of ``secrets``.

    Raises:
        RefreshMalformed: it was never one of ours, or is not spelled as we spell it.
    """
    if not isinstance(token, str) or not _WIRE.fullmatch(token):
        raise RefreshMalformed("the refresh token is not of our form")
    try:
        payload = base64_decode(_signer(secrets).unsign(token))
    except BadSignature:
        raise RefreshMalformed("the refresh token's signature is wrong") from None
    generation, branch = int.from_bytes(payload[16:20]), int.from_bytes(payload[20:26])
    return RefreshClaims(UUID(bytes=payload[:16]), generation, branch, payload[26:])


def names_session(token: str, sid: str) -> bool:
    """Return whether the token says that it is of session ``sid``; nothing about it has been checked."""
    try:
        return urlsafe_b64decode(token[:24])[:16].hex() == sid.replace("-", "")
    except ValueError:
        return False


def is_genuine(claims: RefreshClaims, salt: bytes, secrets: Sequence[str | bytes]) -> bool:
    """Return whether the token was made with the session's ``salt`` and one of ``secrets``."""
    claimed = _claimed(claims.sid, claims.generation, claims.branch)
    proofs = (_proof(claimed, salt, secret) for secret in secrets)
    return any(hmac.compare_digest(claims.proof, proof) for proof in proofs)


def _claimed(sid: UUID, generation: int, branch: int) -> bytes:
    return sid.bytes + generation.to_bytes(4) + branch.to_bytes(BRANCH_BITS // 8)


def _proof(claimed: bytes, salt: bytes, secret: str | bytes) -> bytes:
    key = derive_secret(secret, "refresh-proof")
    return hmac.digest(key, claimed + salt, sha256)[:16]


def _signer(secrets: Sequence[str | bytes]) -> Signer:
    return signer(secrets, "refresh-token", salt=b"authx.refresh")
