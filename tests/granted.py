"""Clients, and what they send for a grant."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from authx.core.actor import Actor
from authx.core.authorization import AuthorizationRequest
from authx.core.oauth_client import AUTHORIZATION_CODE, CLIENT_CREDENTIALS, REFRESH_TOKEN, TOKEN_EXCHANGE
from authx.core.pkce import challenge_of
from authx.models import AuthorizationCode, DeviceSession, ServiceClient
from authx.sessions import Credentials
from authx.sessions.client_facts import facts_of
from authx.sessions.granting import issue_code, redeem_code
from tests import clients

#: Kinds of tokens that are not exchanged (RFC 8693 §3).
REFRESH_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:refresh_token"
ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token"
API, OTHER = "https://api.example/", "https://other.example/"
CALLBACK = "https://app.example/callback"
VERIFIER = "a-verifier-of-at-least-43-characters-0123456789"
ACTOR = Actor(ip="203.0.113.7", user_agent="app/1.0")


def make_client(client_id: str = "app-1", **columns: Any) -> ServiceClient:
    """A client that gets codes and refreshes; of a service, other columns."""
    columns = {
        "redirect_uris": [CALLBACK],
        "grant_types": [AUTHORIZATION_CODE, REFRESH_TOKEN],
        "scope": "orders:read orders:write",
        "resources": [API, OTHER],
        **columns,
    }
    return clients.make_client(client_id, **columns)


def make_service(client_id: str, **columns: Any) -> ServiceClient:
    """A service that is called by its own name, and may call and exchange."""
    columns = {
        "grant_types": [CLIENT_CREDENTIALS, TOKEN_EXCHANGE],
        "audience": f"https://{client_id}.example/",
        "redirect_uris": None,
        "resources": None,
        "name": client_id,
        **columns,
    }
    return make_client(client_id, **columns)


def request_of(client: ServiceClient, **parts: Any) -> AuthorizationRequest:
    """What the user of the browser has consented to."""
    parts = {
        "client": facts_of(client),
        "redirect_uri": CALLBACK,
        "scope": ("orders:read", "orders:write"),
        "resources": (API, OTHER),
        "challenge": challenge_of(VERIFIER),
        **parts,
    }
    return AuthorizationRequest(**parts)


def code_of(client: ServiceClient, login: DeviceSession, *, now: Any = None, **parts: Any) -> str:
    return issue_code(client, login, request_of(client, **parts), now=now)


def redeem(client: ServiceClient, code: str, **parts: Any) -> Credentials:
    parts = {"redirect_uri": CALLBACK, "verifier": VERIFIER, "actor": ACTOR, **parts}
    return redeem_code(client, code, **parts)


def granted(client: ServiceClient, login: DeviceSession) -> Credentials:
    """The tokens of a session that the user of ``login`` has granted to the client."""
    return redeem(client, code_of(client, login))


def grace_has_passed(session: DeviceSession, past: timedelta) -> None:
    """Let time pass for this session alone, by moving its past back; and for the code that opened it."""
    row = DeviceSession.objects.get(pk=session.pk)
    row.rotated_at -= past
    row.save()
    code = AuthorizationCode.objects.filter(session_id=session.pk).first()
    if code is not None and code.redeemed_at is not None:
        code.redeemed_at -= past
        code.save()
