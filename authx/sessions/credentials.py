"""The tokens that a client receives: an access token for now, a refresh token for later."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.access_token import write_access_token
from authx.core.auth_time import as_claim
from authx.core.claims import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    DEFAULT_DATABASE,
    AccessClaims,
    as_read,
)
from authx.core.refresh_token import BRANCH_BITS, write_refresh_token
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
    #: Empty in a client's session that is never refreshed.
    refresh_token: str = field(repr=False)
    #: The time at which the session was judged, aware.
    now: datetime
    #: Whether the client has just presented the refresh token, and keeps it.
    keeps_refresh_token: bool = False

    @property
    def refresh_cookie(self) -> str | None:
        """Return the refresh token to set as a cookie; None where the browser keeps the one it has.

        Set again, it would replace a newer one wherever this answer arrives late.
        """
        return None if self.keeps_refresh_token else self.refresh_token

    @property
    def expires_in(self) -> int:
        """Return the lifetime of the access token in seconds (RFC 6749 §5.1)."""
        return self.claims.expires_in

    @property
    def refresh_expires_in(self) -> int:
        """Return the seconds until the session ends unless it is refreshed again."""
        return max(0, round((self.session.limit_at - self.now).total_seconds()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGrant:
    """What one access token of a client's session is good for, and for whom; less than its session may be."""

    #: Separated by spaces.
    scope: str
    audience: tuple[str, ...]


@sensitive_variables()
def credentials_for(
    session: DeviceSession,
    *,
    generation: int,
    now: datetime,
    kept: int | None = None,
    extra: Mapping[str, Any] | None = None,
    granted: TokenGrant | None = None,
    refreshable: bool = True,
) -> Credentials:
    """Return tokens of ``generation``: a new access token, and a refresh token on a new branch.

    ``kept`` is the branch of the refresh token just presented, where that is repeated instead; ``extra`` are
    the site's claims, where it has been asked for them already. ``granted`` is what the access token of a
    client is good for, unless for all that its session is. Without ``refreshable`` there is no refresh token.
    """
    claims, access_token = access_token_for(
        session, generation=generation, now=now, extra=extra, granted=granted
    )
    if not refreshable:
        return Credentials(session, claims, access_token, "", now)
    branch = secrets.randbits(BRANCH_BITS) if kept is None else kept
    refresh_token = write_refresh_token(session.id, generation, branch, bytes(session.salt), secret_keys())
    is_kept = kept is not None
    return Credentials(session, claims, access_token, refresh_token, now, keeps_refresh_token=is_kept)


@sensitive_variables()
def with_new_access_token(credentials: Credentials, session: DeviceSession, *, now: datetime) -> Credentials:
    """Return the same credentials with an access token that says what ``session`` has become meanwhile."""
    claims, access_token = access_token_for(session, generation=credentials.claims.gen, now=now)
    return replace(credentials, session=session, claims=claims, access_token=access_token, now=now)


@sensitive_variables()
def access_token_for(
    session: DeviceSession,
    *,
    generation: int | None = None,
    now: datetime,
    extra: Mapping[str, Any] | None = None,
    granted: TokenGrant | None = None,
) -> tuple[AccessClaims, str]:
    """Return the claims and text of a new access token, of the session's current generation unless given.

    ``extra`` and ``granted`` are those of ``claims_of``.

    Raises:
        StoreUnavailable: the key that signs is not known.
    """
    key = keyring.keyset().signing
    generation = session.generation if generation is None else generation
    claims = claims_of(session, generation=generation, now=now, kid=key.kid, extra=extra, granted=granted)
    return claims, write_access_token(claims, key)


def claims_of(
    session: DeviceSession,
    *,
    generation: int,
    now: datetime,
    kid: str = "",
    extra: Mapping[str, Any] | None = None,
    granted: TokenGrant | None = None,
) -> AccessClaims:
    """Return the claims of an access token issued now, to be signed by the key ``kid``, or by none.

    ``extra`` are the ``extra_claims``, where they have been made already. In a client's session the token is
    for the client's resources alone and has the session's scope, or what is ``granted`` of both.
    """
    if granted is None:
        granted = TokenGrant(scope=session.scope, audience=tuple(session.audience or ()))
    issued = int(now.timestamp())
    limit = int(session.limit_at.timestamp())
    alias = database.alias()
    last = min(issued + int(conf.ACCESS_TOKEN_LIFETIME.total_seconds()), limit)
    return AccessClaims(
        iss=conf.ISSUER,
        sub=session.subject,
        aud=granted.audience if session.client_id else conf.AUDIENCE,
        exp=max(issued + 1, last),
        iat=issued,
        nbf=issued,
        jti=secrets.token_urlsafe(16),
        client_id=session.client_id or conf.CLIENT_ID,
        sid=str(session.id),
        gen=generation,
        auth_time=as_claim(session.auth_time),
        amr=tuple(session.amr),
        did=session.device_id or None,
        dtp=session.device_type,
        era=session.not_before_number or None,
        opaque=not is_key(session) or None,
        db=None if alias == DEFAULT_DATABASE else alias,
        gty=grant_of(session),
        scope=(granted.scope or None) if session.client_id else None,
        kid=kid,
        extra=extra_claims(session) if extra is None else extra,
    )


def grant_of(session: DeviceSession) -> str | None:
    """Return the ``gty`` of the session's tokens; None where it is no client's."""
    if not session.client_id:
        return None
    return CLIENT_CREDENTIALS if session.is_of_a_service else AUTHORIZATION_CODE


def extra_claims(session: DeviceSession) -> Mapping[str, Any]:
    """Return the claims of AUTHX_CLAIMS, ``as_read``.

    In a client's session they are left out: its tokens say what they allow by ``scope`` alone.
    """
    if session.client_id or conf.CLAIMS is None:
        return MappingProxyType({})
    return as_read(conf.CLAIMS(session))
