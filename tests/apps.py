"""Apps that act for a user, as the door for clients would connect them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from authx.models import AuthorizationCode, Consent, DeviceSession, ServiceClient
from authx.sessions.client_sessions import open_service_session
from tests.clients import make_client, open_granted_session

__all__ = ["API", "connect", "consent", "issue", "make_client", "reason_of", "serve"]

API = "https://api.shop.example/"


def connect(
    client: ServiceClient,
    login: DeviceSession,
    *,
    scope: str = "orders:read",
    audience: tuple[str, ...] = (API,),
    now: datetime | None = None,
) -> DeviceSession:
    """Open a session in which ``client`` acts for the user of ``login``."""
    with transaction.atomic():
        return open_granted_session(client, login, scope=scope, audience=audience, now=now)


def consent(client: ServiceClient, user: Any, *, scope: str = "orders:read", at: Any = None) -> Consent:
    """Remember that ``user`` has allowed ``client`` so much."""
    at = at or timezone.now()
    return Consent.objects.create(user=user, client=client, scope=scope, resources=[API], at=at)


def issue(client: ServiceClient, login: DeviceSession, code_hash: str = "a" * 64) -> AuthorizationCode:
    """Put a code on its way to ``client``."""
    return AuthorizationCode.objects.create(
        code_hash=code_hash,
        client=client,
        user=login.user,
        login=login,
        redirect_uri="https://reader.example/cb",
        challenge="c" * 43,
        scope="orders:read",
        resources=[API],
        expires_at=timezone.now() + timedelta(minutes=1),
        session_id=login.pk,
    )


def serve(client: ServiceClient) -> DeviceSession:
    """Open the session in which ``client`` acts for itself."""
    with transaction.atomic():
        return open_service_session(client)


def reason_of(session: DeviceSession) -> str:
    """Why it ended; empty while it is live."""
    end = DeviceSession.objects.with_marks().get(pk=session.pk).recorded_end()
    return end.reason if end else ""
