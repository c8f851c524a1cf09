"""The token of a "this wasn't me" link: one session, for seven days, and nothing but its end.

Whoever holds the link may end that session or what continues it, as often as they like. The token is signed
under a key of its own: no other token of ours passes for it, and it passes for none of them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from itsdangerous import BadSignature, Signer, base64_decode, base64_encode

from authx.core.derivation import DIGEST, signer
from authx.errors import TokenExpired, TokenMalformed

#: How old a link may be that is followed.
LIFETIME_SECONDS: Final = 7 * 24 * 3600

#: ``sid``, and ``iat`` in seconds, UTC: 24 octets, which base64 spells in one way alone.
_PAYLOAD: Final = struct.Struct(">16sQ")
_WIRE: Final = re.compile(rf"[A-Za-z0-9_-]{{32}}\.{DIGEST}")


def write_not_me_token(sid: UUID, secrets: Sequence[str | bytes], *, now: float) -> str:
    """Return the token for a session, 76 characters, signed with the first of ``secrets``."""
    return _signer(secrets).sign(base64_encode(_PAYLOAD.pack(sid.bytes, int(now)))).decode()


def read_not_me_token(text: object, secrets: Sequence[str | bytes], *, leeway: float, now: float) -> UUID:
    """Return the session that a token signed with any of ``secrets`` is for; ``leeway`` is in seconds.

    Raises:
        TokenMalformed: it was never one of ours, is not spelled as we spell it, or is from the future.
        TokenExpired: it is too old.
    """
    if not isinstance(text, str) or not _WIRE.fullmatch(text):
        raise TokenMalformed("the link is not of our form")
    try:
        sid, iat = _PAYLOAD.unpack(base64_decode(_signer(secrets).unsign(text)))
    except BadSignature:
        raise TokenMalformed("the link's signature is wrong") from None
    if iat > now + leeway:
        raise TokenMalformed("the link is from the future")
    if now - iat > LIFETIME_SECONDS:
        raise TokenExpired("the link has expired")
    return UUID(bytes=sid)


def _signer(secrets: Sequence[str | bytes]) -> Signer:
    return signer(secrets, "not-me-link", salt=b"authx.not-me")
