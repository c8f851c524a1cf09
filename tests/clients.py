"""Clients of OAuth in tests: their registration, their sessions, and every kind of token they can hold."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from authx.conf import conf
from authx.core.access_token import write_access_token
from authx.core.claims import TOKEN_EXCHANGE
from authx.errors import OAuthError
from authx.gate.keys import keyring
from authx.issuer.clients import authenticate_client, create_client
from authx.models import DeviceSession, ServiceClient
from authx.sessions.client_sessions import new_granted_session, open_service_session, save_opened
from authx.sessions.credentials import Credentials, claims_of, credentials_for
from authx.sessions.not_before import opening_moment

API = "https://shop.example/api/"
SCOPE = "orders:read"


def make_client(client_id: str = "app-1", name: str = "Reader", **columns: Any) -> ServiceClient:
    """A client as a row, whether or not one could be registered so."""
    columns = {"created_at": datetime(2026, 1, 1, tzinfo=UTC), **columns}
    return ServiceClient.objects.create(client_id=client_id, name=name, **columns)


def create_service(name: str) -> tuple[ServiceClient, str]:
    """A service of the site itself, and its secret: it may ask about the site's tokens, and end sessions."""
    client, secret = create_client(name, audience=conf.AUDIENCE[0], may_manage_sessions=True)
    assert secret is not None
    return client, secret


def find_service(client_id: str, secret: str) -> ServiceClient | None:
    """The enabled client with this id and secret; None if there is none."""
    try:
        return authenticate_client(client_id, secret=secret)
    except OAuthError:
        return None


def open_granted_session(
    client: ServiceClient,
    login: DeviceSession,
    *,
    scope: str = SCOPE,
    audience: Sequence[str] = (API,),
    refreshable: bool = True,
    now: datetime | None = None,
) -> DeviceSession:
    """The session that a code of this login's user opens, without the code; in the caller's transaction."""
    moment, number = opening_moment()
    session = new_granted_session(
        client,
        login,
        scope=scope,
        audience=audience,
        refreshable=refreshable,
        at=now or moment,
        not_before_number=number,
    )
    return save_opened(session)


def granted(
    client: ServiceClient, login: DeviceSession, *, audience: Any = (API,), scope: str = SCOPE
) -> Credentials:
    """What ``client`` holds once the user of ``login`` has consented."""
    with transaction.atomic():
        session = open_granted_session(client, login, scope=scope, audience=audience)
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
