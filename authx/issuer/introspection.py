"""Token introspection: whether a token is active right now, for a service that asks (RFC 7662)."""

from __future__ import annotations

from typing import Any

from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.claims import AccessClaims
from authx.core.refresh_token import read_refresh_token
from authx.errors import RefreshError, TokenError
from authx.gate.verify import read_claims
from authx.models import DeviceSession
from authx.sessions.liveness import end_of, find_live, recognize
from authx.sessions.lookup import find_by_refresh_token


@sensitive_variables("token")
def introspect(token: object) -> dict[str, Any] | None:
    """Return the members of an active token (RFC 7662 §2.2); None for any other, whatever is wrong with it.

    The client itself has not used the token, so no generation is confirmed.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    try:
        claims = read_claims(token)
        find_live(claims)
    except TokenError:
        return _refresh_members(token)
    return _access_members(claims)


def _access_members(claims: AccessClaims) -> dict[str, Any]:
    return claims.as_payload() | {"active": True, "token_type": "Bearer"}


@sensitive_variables("token")
def _refresh_members(token: object) -> dict[str, Any] | None:
    """Return the members of a refresh token; None unless it is the newest of a live session."""
    try:
        presented = read_refresh_token(token, secret_keys())
        found = find_by_refresh_token(presented)
    except RefreshError:
        return None
    session = found.session
    if end_of(found) or presented.generation != session.generation:
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
    """Return the session of an access or refresh token; None if the token is none of ours, or has expired.

    Any generation of a refresh token is accepted: a client that revokes a token is no thief.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    try:
        return recognize(token)
    except TokenError:
        pass
    try:
        return find_by_refresh_token(read_refresh_token(token, secret_keys())).session
    except RefreshError:
        return None
