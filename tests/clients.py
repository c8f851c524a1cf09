"""Clients of OAuth in tests: their sessions, and every kind of token that they can hold."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.utils import timezone

from authx.core.access_token import write_access_token
from authx.core.claims import TOKEN_EXCHANGE
from authx.gate.keys import keyring
from authx.models import DeviceSession, ServiceClient
from authx.sessions.client_sessions import open_granted_session, open_service_session
from authx.sessions.credentials import Credentials, claims_of, credentials_for

API = "https://shop.example/api/"
SCOPE = "orders:read"


def make_client(client_id: str = "app-1", **columns: Any) -> ServiceClient:
    columns = {"name": "Reader", "created_at": timezone.now(), **columns}
    return ServiceClient.objects.create(client_id=client_id, **columns)


def granted(
    client: ServiceClient, login: DeviceSession, *, audience: Any = (API,), scope: str = SCOPE
) -> Credentials:
    """What ``client`` holds once the user of ``login`` has consented."""
    with transaction.atomic():
        session = open_granted_session(client, login, scope=scope, audience=audience, refreshable=True)
    return credentials_for(session, generation=1, now=session.created_at)


def signed(claims: Any, **changes: Any) -> str:
    """A token of these claims, as our key signs it."""
    return write_access_token(replace(claims, **changes), keyring.keyset().signing)


def exchanged(claims: Any, requester: str = "service-1", **changes: Any) -> str:
    """What ``requester`` gets for a token of ``claims``: the same session, less of everything else."""
    said = {
        "aud": (API,),
        "scope": SCOPE,
        "gty": TOKEN_EXCHANGE,
        "client_id": requester,
        "act": {"sub": f"client:{requester}"},
        "jti": secrets.token_urlsafe(8),
        "gen": None,
        "extra": {},
        **changes,
    }
    return signed(claims, **said)


def service_token(client: ServiceClient, *, audience: Any = (API,), scope: str = SCOPE) -> tuple[Any, str]:
    """The claims and text of a token by which ``client`` acts for itself; in a new session."""
    with transaction.atomic():
        session = open_service_session(client)
    claims = claims_of(session, generation=1, now=session.created_at)
    changes = {"aud": tuple(audience), "scope": scope, "extra": {}, "gen": None}
    return replace(claims, **changes), signed(claims, **changes)
