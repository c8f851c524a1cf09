"""What a client may know about a token, and whether it may end its session (RFC 7662, RFC 7009)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.actor import Actor
from authx.core.claims import AccessClaims
from authx.core.reasons import EndReason
from authx.core.refresh_token import read_refresh_token
from authx.errors import OAuthError, RefreshError, TokenError
from authx.gate.verify import read_anybodys_claims
from authx.models import DeviceSession, ServiceClient
from authx.sessions.ending import end_session
from authx.sessions.liveness import end_of, find_live
from authx.sessions.lookup import find_by_refresh_token


@dataclass(frozen=True, slots=True)
class _Token:
    """A token that we have issued, with its session."""

    session: DeviceSession
    #: None of a refresh token.
    claims: AccessClaims | None
    #: Whether it is good now: not spent, and of a live session.
    is_active: bool


@sensitive_variables("token")
def introspect(token: object, client: ServiceClient | None = None) -> dict[str, Any] | None:
    """Return the members of an active token (RFC 7662 §2.2); None for any other, whatever is wrong with it.

    Nor does ``client`` learn anything of one that it may not ask about; without one, the site itself asks.
    The client that got the token has not used it, so no generation is confirmed.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    found = _find(token)
    if found is None or not found.is_active or not (client is None or _may_ask(client, found)):
        return None
    return _refresh_members(found.session) if found.claims is None else _access_members(found.claims)


@sensitive_variables("token")
def revoke(token: object, client: ServiceClient, by: Actor) -> bool:
    """End the session of an access or refresh token of any generation; return whether it was ended now.

    A client that revokes a token is no thief, so that a spent one will do. Nothing happens if the token is
    not ours, expired, of a session that is over, or one that ``client`` may not even ask about. ``by`` is the
    client, at its address.

    Raises:
        OAuthError: ``unsupported_token_type`` (RFC 7009 §2.2.1): it may ask about the token, but the session
            is not its own, and ending it would sign somebody out.
        StoreUnavailable: the database cannot be read or written.
    """
    found = _find(token)
    if found is None or found.session.ended_at is not None:  # an old one does not end what continues it
        return False
    session = found.session
    if session.client_id != client.client_id and not client.may_manage_sessions:
        if _may_ask(client, found):
            raise OAuthError("unsupported_token_type", "the token's session is not this client's to end")
        return False
    return end_session(session, EndReason.LOGOUT, by=by, note=f"revoked by {client.name}")


def _may_ask(client: ServiceClient, found: _Token) -> bool:
    """Return whether the client is meant by the token, has got it, or may manage everybody's sessions."""
    claims = found.claims
    if claims is None:
        return client.client_id == found.session.client_id or client.may_manage_sessions
    is_recipient = bool(client.audience) and client.audience in claims.aud
    return is_recipient or claims.client_id == client.client_id


@sensitive_variables("token")
def _find(token: object) -> _Token | None:
    """Return a token of ours that has not expired, whoever it is for; None for anything else."""
    try:
        claims = read_anybodys_claims(token)
        return _Token(find_live(claims, delegated=claims.is_delegated).session, claims, is_active=True)
    except TokenError:
        pass
    try:
        presented = read_refresh_token(token, secret_keys())
        found = find_by_refresh_token(presented, client_id=None)
    except RefreshError:
        return None
    is_newest = presented.generation == found.session.generation
    return _Token(found.session, None, is_active=is_newest and not end_of(found))


def _access_members(claims: AccessClaims) -> dict[str, Any]:
    return claims.as_payload() | {"active": True, "token_type": "Bearer"}


def _refresh_members(session: DeviceSession) -> dict[str, Any]:
    members = {
        "active": True,
        "token_type": "refresh_token",
        "iss": conf.ISSUER,
        "sub": session.subject,
        "client_id": session.client_id or conf.CLIENT_ID,
        "sid": str(session.pk),
        "exp": int(session.limit_at.timestamp()),
    }
    if session.client_id:
        members |= {"scope": session.scope, "aud": session.audience or []}
    return {name: value for name, value in members.items() if value not in ("", [])}
