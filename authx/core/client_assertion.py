"""Client assertions: a client proves with its own key who it is (RFC 7523 §3, RFC 7521 §4.2)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from authx.core.client_keys import ALGORITHMS, find_jwk, key_for
from authx.core.jws import COMPACT, FORBIDDEN_HEADERS, MAX_KID_LENGTH, MAX_TOKEN_LENGTH, object_of, octets_of
from authx.errors import KeyInvalid, OAuthError, TokenMalformed

#: The value of ``client_assertion_type`` (RFC 7523 §2.2).
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: How far ahead ``exp`` may be: some libraries sign for an hour by default.
MAX_LIFETIME: Final = timedelta(hours=1)

#: ``typ`` may be left out; another kind of token is never taken for an assertion (RFC 8725 §3.11).
_TYPES: Final = frozenset({"jwt", "application/jwt", "client-authentication+jwt"})
#: The last instant that a datetime can hold, in seconds.
_YEAR_9999: Final = 253_402_300_800
_JTI: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,128}")


@dataclass(frozen=True, slots=True)
class AssertionClaims:
    """What is left to check of a good assertion: that its client has not shown this ``jti`` before."""

    #: 1 to 128 characters, the client's own choice.
    jti: str
    #: Its ``exp``; with the leeway added, the time until which ``jti`` must be remembered.
    expires_at: datetime


def unverified_issuer(assertion: str) -> str | None:
    """Return the ``iss`` of an unchecked assertion, to find its client by; None if there is none."""
    return unverified_claim(assertion, "iss")


def unverified_claim(token: str, name: str) -> str | None:
    """Return a claim of an unchecked token, to read by it what checking needs; None if it is no text."""
    try:
        _, payload, _ = _segments(token)
        claim = object_of(payload).get(name)
    except (OAuthError, TokenMalformed):
        return None
    return claim if isinstance(claim, str) and claim else None


def read_client_assertion(
    assertion: str,
    jwks: Mapping[str, Any] | None,
    *,
    client_id: str,
    audiences: Collection[str],
    now: datetime,
    leeway: timedelta,
) -> AssertionClaims:
    """Check that the client has signed ``assertion`` for us and that it is good ``now``.

    ``jwks`` are the client's registered keys, ``audiences`` the issuer's name and the token endpoint's URL.

    Raises:
        OAuthError: ``invalid_client``; the description is for the log, for clients are all told the same.
    """
    header, payload, signature = _segments(assertion)
    try:
        alg, jwk = _find_jwk(object_of(header), jwks or {})
        if not key_for(jwk, alg).verify(f"{header}.{payload}".encode(), octets_of(signature)):
            raise _refusal("its signature is wrong")
        claims = object_of(payload)
    except (TokenMalformed, KeyInvalid) as error:
        raise _refusal(str(error)) from None
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise _refusal("its iss and sub are not both the client_id")
    audience = claims.get("aud")
    if not isinstance(audience, str) or audience not in audiences:
        raise _refusal("its aud is not one text, the issuer or the token endpoint")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not _JTI.fullmatch(jti):
        raise _refusal("its jti is not 1 to 128 characters")
    return AssertionClaims(jti, _expiry(claims, now, leeway))


def _segments(assertion: str) -> tuple[str, str, str]:
    match = COMPACT.fullmatch(assertion) if len(assertion) <= MAX_TOKEN_LENGTH else None
    if match is None:
        raise _refusal("it is not a compact JWS of at most 8 KiB")
    return match[1], match[2], match[3]


def _find_jwk(header: dict[str, Any], jwks: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the algorithm that the header names, and the client's key that it names."""
    typ, alg, kid = header.get("typ", "JWT"), header.get("alg"), header.get("kid")
    if not isinstance(typ, str) or typ.lower() not in _TYPES:
        raise _refusal("its typ is another token's")
    if forbidden := FORBIDDEN_HEADERS & header.keys():
        raise _refusal(f"its header holds {min(forbidden)}")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise _refusal(f"its alg is none of {', '.join(ALGORITHMS)}")
    if "kid" in header and (not isinstance(kid, str) or len(kid) > MAX_KID_LENGTH):
        raise _refusal("its kid is not a short text")
    jwk = find_jwk(jwks, kid)
    if jwk is None:
        raise _refusal(
            "its kid names none of the client's keys, or it has none and the client has several keys"
        )
    return alg, jwk


def _expiry(claims: dict[str, Any], now: datetime, leeway: timedelta) -> datetime:
    """Return ``exp``, once all the times of the assertion fit ``now``."""
    seconds, slack = now.timestamp(), leeway.total_seconds()
    expires = _instant(claims, "exp")
    if expires is None:
        raise _refusal("it has no exp")
    if expires <= seconds - slack:
        raise _refusal("it has expired")
    if expires > seconds + slack + MAX_LIFETIME.total_seconds():
        raise _refusal("its exp is more than an hour ahead")
    for name in ("iat", "nbf"):
        if (_instant(claims, name) or 0) > seconds + slack:
            raise _refusal(f"its {name} is in the future: the clocks differ")
    return datetime.fromtimestamp(expires, UTC)


def _instant(claims: dict[str, Any], name: str) -> float | None:
    """Return a NumericDate, which may have a fraction (RFC 7519 §2); None where it is absent."""
    if name not in claims:
        return None
    value: Any = claims[name]
    if type(value) not in (int, float) or not 0 <= value < _YEAR_9999:
        raise _refusal(f"its {name} is not a number of seconds")
    return float(value)


def _refusal(why: str) -> OAuthError:
    return OAuthError("invalid_client", f"the client assertion cannot be used: {why}", rule="T8")
