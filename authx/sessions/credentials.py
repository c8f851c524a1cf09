"""The tokens that a client receives: an access token for now, a refresh token for later."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.access_token import write_access_token
from authx.core.auth_time import as_claim
from authx.core.claims import DEFAULT_DATABASE, AccessClaims
from authx.core.refresh_token import write_refresh_token
from authx.gate.keys import keyring
from authx.models import DeviceSession
from authx.sessions.subjects import is_key
from authx.store import database


@dataclass(frozen=True, slots=True)
class Credentials:
    """One session's tokens; neither is ever stored, logged or shown in a repr."""

    session: DeviceSession
    claims: AccessClaims
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    #: The time at which the session was judged, aware.
    now: datetime

    @property
    def expires_in(self) -> int:
        """Return the lifetime of the access token in seconds (RFC 6749 §5.1)."""
        return self.claims.expires_in

    @property
    def refresh_expires_in(self) -> int:
        """Return the seconds until the session ends unless it is refreshed again."""
        return max(0, round((self.session.limit_at - self.now).total_seconds()))


@sensitive_variables()
def credentials_for(session: DeviceSession, *, generation: int, now: datetime) -> Credentials:
    """Return the tokens of ``generation``: the refresh token is always the same, the access token is new."""
    claims = _claims(session, generation, now)
    refresh_token = write_refresh_token(session.id, generation, bytes(session.salt), secret_keys())
    access_token = write_access_token(claims, keyring.keyset().signing)
    return Credentials(session, claims, access_token, refresh_token, now)


@sensitive_variables()
def access_token_for(session: DeviceSession, *, now: datetime) -> tuple[AccessClaims, str]:
    """Return the claims and text of a new access token of the session's current generation."""
    claims = _claims(session, session.generation, now)
    return claims, write_access_token(claims, keyring.keyset().signing)


def _claims(session: DeviceSession, generation: int, now: datetime) -> AccessClaims:
    issued = int(now.timestamp())
    limit = int(session.limit_at.timestamp())
    alias = database.alias()
    last = min(issued + int(conf.ACCESS_TOKEN_LIFETIME.total_seconds()), limit)
    return AccessClaims(
        iss=conf.ISSUER,
        sub=session.subject,
        aud=conf.AUDIENCE,
        exp=max(issued + 1, last),
        iat=issued,
        nbf=issued,
        jti=secrets.token_urlsafe(16),
        client_id=conf.CLIENT_ID,
        sid=str(session.id),
        gen=generation,
        auth_time=as_claim(session.auth_time),
        amr=tuple(session.amr),
        did=session.device_id or None,
        dtp=session.device_type,
        era=session.not_before_number or None,
        opaque=not is_key(session) or None,
        db=None if alias == DEFAULT_DATABASE else alias,
        extra=_extra(session),
    )


def _extra(session: DeviceSession) -> dict[str, Any]:
    if conf.CLAIMS is None:
        return {}
    return dict(conf.CLAIMS(session))
