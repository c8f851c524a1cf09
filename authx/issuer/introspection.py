"""What a token is worth right now, told to a service that asks (RFC 7662)."""

from __future__ import annotations

from typing import Any

from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.claims import AccessClaims
from authx.core.refresh_token import read_refresh_token
from authx.errors import RefreshError, TokenError
from authx.gate.verify import read_claims
from authx.models import DeviceSession
from authx.sessions.liveness import end_of, live_session, recognize
from authx.sessions.presented import find_genuine


@sensitive_variables("token")
def introspect(token: object) -> dict[str, Any] | None:
    """The members of an active token (RFC 7662 §2.2); None for every other one, whatever is wrong with it.

    The token has not been used by its client, so nothing is confirmed.

    Raises:
        StoreUnavailable: the database cannot be asked.
    """
    try:
        claims = read_claims(token)
        live_session(claims)
    except TokenError:
        return _refresh_members(token)
    return _access_members(claims)


def _access_members(claims: AccessClaims) -> dict[str, Any]:
    return claims.as_payload() | {"active": True, "token_type": "Bearer"}


@sensitive_variables("token")
def _refresh_members(token: object) -> dict[str, Any] | None:
    """Of a refresh token: active while it is the newest of a live session."""
    try:
        presented = read_refresh_token(token, secret_keys())
        session = find_genuine(presented)
    except RefreshError:
        return None
    if end_of(session) or presented.generation != session.generation:
        return None
    return {
        "active": True,
        "token_type": "refresh_token",
        "iss": conf.ISSUER,
        "sub": session.subject,
        "client_id": conf.CLIENT_ID,
        "sid": str(session.pk),
        "exp": int(session.limit_at.timestamp()),
    }


@sensitive_variables("token")
def find_session_of(token: object) -> DeviceSession | None:
    """The session that a token, access or refresh, belongs to; None if it is none of ours, or expired.

    Any generation of a refresh token will do: who gives a token back is no thief.

    Raises:
        StoreUnavailable: the database cannot be asked.
    """
    try:
        return recognize(token)
    except TokenError:
        pass
    try:
        return find_genuine(read_refresh_token(token, secret_keys()))
    except RefreshError:
        return None
