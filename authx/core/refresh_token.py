"""The refresh token on the wire: which session, which generation, and two MACs.

The signature keeps forgeries away from the database: checking it needs only the site's secret. The
proof also needs the session's salt, which only its row holds, so neither the secret alone nor
the database alone is enough to make a token.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from uuid import UUID

from itsdangerous import BadSignature, Signer, base64_decode, base64_encode

from authx.core.derivation import derive_secret, signer
from authx.errors import RefreshMalformed

#: 36 octets, a dot, 32 octets. 43 characters leave two spare bits, which must be zero.
_WIRE: Final = re.compile(r"[A-Za-z0-9_-]{48}\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


@dataclass(frozen=True, slots=True)
class RefreshClaims:
    """The content of a refresh token with a valid signature; ``is_genuine`` must still be checked."""

    sid: UUID
    generation: int
    proof: bytes = field(repr=False)  # 16 octets


def write_refresh_token(sid: UUID, generation: int, salt: bytes, secrets: Sequence[str | bytes]) -> str:
    """Return the one refresh token of ``sid`` at ``generation``; the first secret signs.

    The same arguments give the same token, which is how a retry gets the identical successor.

    Raises:
        OverflowError: ``generation`` does not fit in 4 octets.
    """
    payload = _counted(sid, generation) + _proof(sid, generation, salt, secrets[0])
    return _signer(secrets).sign(base64_encode(payload)).decode()


def read_refresh_token(token: object, secrets: Sequence[str | bytes]) -> RefreshClaims:
    """Read a refresh token signed with any of ``secrets``; one that was read already is returned as it is.

    Raises:
        RefreshMalformed: it was never one of ours, or is not spelled as we spell it.
    """
    if isinstance(token, RefreshClaims):
        return token
    if not isinstance(token, str) or not _WIRE.fullmatch(token):
        raise RefreshMalformed("the refresh token is not of our form")
    try:
        payload = base64_decode(_signer(secrets).unsign(token))
    except BadSignature:
        raise RefreshMalformed("the refresh token's signature is wrong") from None
    return RefreshClaims(UUID(bytes=payload[:16]), int.from_bytes(payload[16:20]), payload[20:])


def is_genuine(claims: RefreshClaims, salt: bytes, secrets: Sequence[str | bytes]) -> bool:
    """Return whether the token was made with the session's ``salt`` and one of ``secrets``."""
    proofs = (_proof(claims.sid, claims.generation, salt, secret) for secret in secrets)
    return any(hmac.compare_digest(claims.proof, proof) for proof in proofs)


def _counted(sid: UUID, generation: int) -> bytes:
    return sid.bytes + generation.to_bytes(4)


def _proof(sid: UUID, generation: int, salt: bytes, secret: str | bytes) -> bytes:
    key = derive_secret(secret, "refresh-proof")
    return hmac.digest(key, _counted(sid, generation) + salt, sha256)[:16]


def _signer(secrets: Sequence[str | bytes]) -> Signer:
    return signer(secrets, "refresh-token", salt=b"authx.refresh")
