"""Access tokens on the wire: claims to compact JWS and back, strictly (RFC 9068, RFC 8725)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from jwt.utils import base64url_encode

from authx.core import strict_json
from authx.core.claims import AccessClaims
from authx.core.jws import (
    COMPACT,
    FORBIDDEN_HEADERS,
    MAX_KID_LENGTH,
    MAX_TOKEN_LENGTH,
    object_of,
    octets_of,
)
from authx.core.keys import Key, Keys
from authx.errors import KeyUnknown, TokenExpired, TokenMalformed, TokenNotForUs

#: RFC 9068 §4; the long form is the same media type (RFC 7515 §4.1.9).
_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})


def write_access_token(claims: AccessClaims, key: Key) -> str:
    """Sign ``claims`` with ``key``.

    Raises:
        ValueError: the claims could not be read back: a name of ours in ``extra``, an invalid
            identifier, a value that is not JSON, a token over 8 KiB.
        KeyInvalid: the key cannot sign.
    """
    payload = claims.as_payload()
    try:
        AccessClaims.from_payload(payload)
    except TokenMalformed as error:
        raise ValueError(str(error)) from error
    signed = b".".join([_header(key.alg, key.kid), base64url_encode(strict_json.dumps(payload))])
    token = b".".join([signed, base64url_encode(key.sign(signed))]).decode()
    if len(token) > MAX_TOKEN_LENGTH:
        raise ValueError(f"the token would be longer than {MAX_TOKEN_LENGTH} characters")
    return token


@lru_cache(maxsize=64)
def _header(alg: str, kid: str) -> bytes:
    """Return the header of every token that this key signs."""
    return base64url_encode(strict_json.dumps({"typ": "at+jwt", "alg": alg, "kid": kid}))


def is_access_token(token: str) -> bool:
    """Return whether the header's ``typ`` says so (RFC 9068 §4); the rest of the token may be anything."""
    match = COMPACT.fullmatch(token) if len(token) <= MAX_TOKEN_LENGTH else None
    try:
        return match is not None and _has_our_type(object_of(match[1]))
    except TokenMalformed:
        return False


def named_key(token: str) -> str | None:
    """Return the ``kid`` in the header, whether or not that key has signed; None where there is none."""
    match = COMPACT.fullmatch(token) if len(token) <= MAX_TOKEN_LENGTH else None
    try:
        kid = None if match is None else object_of(match[1]).get("kid")
    except TokenMalformed:
        return None
    return kid if isinstance(kid, str) and len(kid) <= MAX_KID_LENGTH else None


def read_signed(token: object, keys: Keys) -> tuple[AccessClaims, Key]:
    """Return the claims that one of ``keys`` has signed, and that key.

    Nothing that changes with time is checked, so the result may be cached.

    Raises:
        TokenMalformed: it is not a well-made access token, or its signature is not the key's.
        KeyUnknown: none of ``keys`` has its ``kid``.
    """
    if not isinstance(token, str) or len(token) > MAX_TOKEN_LENGTH:
        raise TokenMalformed("the token is not text of at most 8 KiB")
    match = COMPACT.fullmatch(token)
    if match is None:
        raise TokenMalformed("the token is not a compact JWS")
    header, payload, signature = match.groups()
    kid, alg = _kid_and_alg(header)
    key = keys.find(kid)
    if key is None:
        raise KeyUnknown("the token's key is not one of ours")
    if alg != key.alg:
        raise TokenMalformed("the header's alg is not the key's")
    if not key.verify(token[: match.end(2)].encode(), octets_of(signature)):
        raise TokenMalformed("the signature is wrong")
    return AccessClaims.from_payload(object_of(payload), kid=key.kid), key


def check_claims(
    claims: AccessClaims,
    *,
    issuer: str,
    audience: Collection[str],
    max_lifetime: timedelta,
    leeway: timedelta,
    now: float,
) -> None:
    """Check issuer, audience, ``exp``, ``iat`` and ``nbf`` at ``now``, in seconds since the epoch.

    At ``exp`` itself the token has expired (RFC 7519 §4.1.4).

    Raises:
        TokenNotForUs: ``iss`` is not ``issuer``, or ``aud`` names none of ``audience``.
        TokenMalformed: the token lives longer than ``max_lifetime``, or is from the future.
        TokenExpired: the token was valid once.
    """
    if claims.iss != issuer or not (claims.aud == audience or not set(audience).isdisjoint(claims.aud)):
        raise TokenNotForUs("the token is from another issuer or for another audience")
    slack = leeway.total_seconds()
    if not claims.iat < claims.exp <= claims.iat + max_lifetime.total_seconds():
        raise TokenMalformed("the token's lifetime is longer than allowed, or none")
    if claims.iat > now + slack or (claims.nbf or 0) > now + slack:
        raise TokenMalformed("the token is from the future")
    if claims.exp <= now - slack:
        raise TokenExpired("the token has expired")


def window(claims: AccessClaims, leeway: timedelta) -> tuple[float, float]:
    """Return from when and until when ``check_claims`` has nothing against the times of ``claims``.

    Both are seconds since the epoch; the second is the first moment at which the token has expired.
    """
    slack = leeway.total_seconds()
    return max(claims.iat, claims.nbf or 0) - slack, claims.exp + slack


def _has_our_type(header: dict[str, Any]) -> bool:
    typ = header.get("typ")
    return isinstance(typ, str) and typ.lower() in _TYPES


@lru_cache(maxsize=64)
def _kid_and_alg(segment: str) -> tuple[str, Any]:
    """Return what the header in a segment says; remembered, because all tokens of a key have the same."""
    header = object_of(segment)
    kid = header.get("kid")
    if not _has_our_type(header):
        raise TokenMalformed("the header's typ is not at+jwt")
    if forbidden := FORBIDDEN_HEADERS & header.keys():
        raise TokenMalformed(f"the header holds {min(forbidden)}")
    if not isinstance(kid, str) or len(kid) > MAX_KID_LENGTH:
        raise TokenMalformed("the header's kid is not a short string")
    return kid, header.get("alg")
