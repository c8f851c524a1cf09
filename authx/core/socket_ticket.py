"""Tickets for sockets on the wire: a session, shown once, within half a minute, from one origin.

A page whose tokens are in cookies asks for one, and shows it where scripts can send no headers and the cookie
is of no use: at a handshake on another host, or on a socket that is open.
"""

from __future__ import annotations

import hmac
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from itsdangerous import BadSignature, Signer, base64_decode, base64_encode

from authx.core.derivation import DIGEST, signer
from authx.errors import TokenExpired, TokenMalformed

#: How old a ticket may be that is shown.
LIFETIME_SECONDS: Final = 30
NONCE_LENGTH: Final = 12  # octets
#: What no origin has.
NO_ORIGIN: Final = bytes(16)

#: ``sid``, ``exp``, ``iat``, ``era``, origin, nonce, the length of the ``kid``; then ``kid`` and ``sub``.
_FIXED: Final = struct.Struct(">16sQQQ16s12sB")
_WIRE: Final = re.compile(rf"[A-Za-z0-9_-]{{92,1600}}\.{DIGEST}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketTicket:
    """What a ticket says. ``exp`` is that of the access token it was asked for with; seconds, UTC."""

    sid: UUID
    sub: str
    #: The key that signed that token; ``""`` where there was none.
    kid: str
    #: The number of the newest not-before mark when the session was opened; 0 if there was none.
    era: int
    exp: int
    iat: int
    #: ``hash_of`` the origin of the page that asked for it.
    origin: bytes
    nonce: bytes

    @property
    def name(self) -> str:
        """Return what it is remembered by once it has been taken: 32 characters, which do not reveal it."""
        return sha256(self._payload()).hexdigest()[:32]

    def is_from(self, origin: str) -> bool:
        """Return whether it was made for a page of this origin; ``""`` for a client that has none."""
        return hmac.compare_digest(self.origin, hash_of(origin))

    def write(self, secrets: Sequence[str | bytes]) -> str:
        """Return the ticket as text, signed with the first of ``secrets``."""
        return _signer(secrets).sign(base64_encode(self._payload())).decode()

    def _payload(self) -> bytes:
        kid = self.kid.encode()
        fixed = (self.sid.bytes, self.exp, self.iat, self.era, self.origin, self.nonce, len(kid))
        return _FIXED.pack(*fixed) + kid + self.sub.encode()


def hash_of(origin: str) -> bytes:
    """Return 16 octets that stand for an origin; NO_ORIGIN where there is none."""
    return sha256(origin.encode()).digest()[:16] if origin else NO_ORIGIN


def read_ticket(
    text: object, secrets: Sequence[str | bytes], *, leeway: timedelta, now: float
) -> SocketTicket:
    """Read a ticket signed with any of ``secrets``; whether it has been taken is not asked.

    Raises:
        TokenMalformed: it was never one of ours, is not spelled as we spell it, or is from the future.
        TokenExpired: it is too old, or the access token that it stands for has expired.
    """
    if not isinstance(text, str) or not _WIRE.fullmatch(text):
        raise TokenMalformed("the ticket is not of our form")
    try:
        payload = base64_decode(_signer(secrets).unsign(text))
    except BadSignature:
        raise TokenMalformed("the ticket's signature is wrong") from None
    ticket, slack = _read(payload), leeway.total_seconds()
    if ticket.iat > now + slack:
        raise TokenMalformed("the ticket is from the future")
    if now - ticket.iat > LIFETIME_SECONDS or ticket.exp <= now - slack:
        raise TokenExpired("the ticket has expired")
    return ticket


def _read(payload: bytes) -> SocketTicket:
    sid, exp, iat, era, origin, nonce, length = _FIXED.unpack_from(payload)
    kid, sub = payload[_FIXED.size :][:length], payload[_FIXED.size + length :]
    return SocketTicket(
        sid=UUID(bytes=sid),
        sub=sub.decode(),
        kid=kid.decode(),
        era=era,
        exp=exp,
        iat=iat,
        origin=origin,
        nonce=nonce,
    )


def _signer(secrets: Sequence[str | bytes]) -> Signer:
    return signer(secrets, "socket-ticket", salt=b"authx.ticket")
