"""The one gate: signature, claims, and whether the session is alive."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.claims import AccessClaims
from authx.core.tokens import check_claims
from authx.errors import KeyUnknown, SessionEnded
from authx.gate import keyring, revocation
from authx.gate.jwks import remote_keys
from authx.gate.remembered import signatures

logger = logging.getLogger("authx")


@sensitive_variables("token")
def verify_access_token(
    token: object, *, store: revocation.RevocationSource | None = None, now: datetime | None = None
) -> AccessClaims:
    """The claims of a good access token of a live session (RFC 9068 §4).

    ``store`` is asked instead of AUTHX_REVOCATION_STORE; ``now`` is given by tests.

    Raises:
        TokenError: malformed, expired, not for us, of an unknown key; or SessionEnded, which says why.
        StoreUnavailable: whether the session is alive cannot be known.
    """
    claims = read_claims(token, now=now)
    try:
        reason = (store or revocation.source(token)).end_reason(claims, now)
    except KeyUnknown:
        if not conf.JWKS_URL:
            keyring.keyset().look()  # withdrawn elsewhere, a moment ago: nor may it sign here any more
        raise
    if reason is not None:
        error = SessionEnded(reason)
        with suppress(ValueError):  # an issuer of another kind may name its sessions as it likes
            error.sid = UUID(claims.sid)
        raise error
    return claims


@sensitive_variables("token")
def read_claims(token: object, *, now: datetime | None = None) -> AccessClaims:
    """The claims of a well-signed, unexpired token; says nothing of its session. No I/O.

    Raises:
        TokenError: see ``verify_access_token``.
    """
    seconds = time.time() if now is None else now.timestamp()
    url = conf.JWKS_URL
    claims = signatures.read(token, remote_keys(url) if url else keyring.keyset(), now=seconds)
    audience, longest = conf.AUDIENCE, conf.ACCESS_TOKEN_LIFETIME
    if url and claims.exp - claims.iat > longest.total_seconds():
        _complain_of_lifetime(claims.iss)
    check_claims(
        claims,
        issuer=conf.ISSUER,
        audience=(audience,) if isinstance(audience, str) else audience,
        max_lifetime=longest,
        leeway=conf.CLOCK_LEEWAY,
        now=seconds,
    )
    return claims


@lru_cache(maxsize=4)
def _complain_of_lifetime(issuer: str) -> None:
    """Once: to its client such a token is as malformed as any other."""
    logger.error(
        "The tokens of %s live longer than our AUTHX_ACCESS_TOKEN_LIFETIME: set it as there.", issuer
    )
