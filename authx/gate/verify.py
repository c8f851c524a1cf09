"""The one gate: signature, claims, and whether the session is alive."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.access_token import check_claims
from authx.core.claims import AccessClaims
from authx.core.liveness import Liveness
from authx.errors import KeyUnknown, SessionEnded
from authx.gate.keys import keyring
from authx.gate.keys.remote import remote_keys
from authx.gate.revocation import sources
from authx.gate.signature_cache import signatures

logger = logging.getLogger("authx")

Source = sources.RevocationSource | sources.ReasonSource


@sensitive_variables("token")
def verify_access_token(
    token: object, *, store: Source | None = None, now: datetime | None = None
) -> AccessClaims:
    """Return the claims of a good access token of a live session (RFC 9068 §4).

    ``store`` is asked instead of AUTHX_REVOCATION_STORE; ``now`` is given by tests.

    Raises:
        TokenError: malformed, expired, not for us, of an unknown key; or SessionEnded, which says why.
        StoreUnavailable: whether the session is alive cannot be known.
    """
    claims = read_claims(token, now=now)
    ensure_live(claims, store or sources.source(token), now=now)
    return claims


@sensitive_variables("token")
def read_claims(token: object, *, now: datetime | None = None) -> AccessClaims:
    """Return the claims of a well-signed, unexpired token; says nothing of its session. No I/O.

    Raises:
        TokenError: see ``verify_access_token``.
    """
    seconds = time.time() if now is None else now.timestamp()
    url = conf.JWKS_URL
    claims = signatures.read(token, remote_keys(url) if url else keyring.keyset(), now=seconds)
    longest = conf.ACCESS_TOKEN_LIFETIME
    if url and claims.exp - claims.iat > longest.total_seconds():
        _complain_of_lifetime(claims.iss)
    check_claims(
        claims,
        issuer=conf.ISSUER,
        audience=conf.AUDIENCE,
        max_lifetime=longest,
        leeway=conf.CLOCK_LEEWAY,
        now=seconds,
    )
    return claims


def ensure_live(
    claims: AccessClaims, store: Source | None = None, *, now: datetime | None = None
) -> Liveness:
    """Return what ``store`` answers about the session of ``claims``, which is live.

    Without ``store`` the configured one is asked; one that needs the token itself (``sources.source``) has to
    be given.

    Raises:
        SessionEnded: it is over; the error says why.
        KeyUnknown: the key of its token has been withdrawn.
        StoreUnavailable: it cannot be known.
    """
    try:
        found = sources.ask(store or sources.source(), claims, now)
    except KeyUnknown:
        if not conf.JWKS_URL:
            keyring.keyset().reload()  # withdrawn elsewhere, a moment ago: nor may it sign here any more
        raise
    if found.reason is not None:
        raise SessionEnded(found.reason, sid=_sid(claims), replaced_by=found.replaced_by)
    return found


def _sid(claims: AccessClaims) -> UUID | None:
    """Return None for a session of an issuer of another kind, which may name it as it likes."""
    try:
        return UUID(claims.sid)
    except ValueError:
        return None


@lru_cache(maxsize=4)
def _complain_of_lifetime(issuer: str) -> None:
    """Once: to its client such a token is as malformed as any other."""
    logger.error(
        "The tokens of %s live longer than our AUTHX_ACCESS_TOKEN_LIFETIME: set it as there.", issuer
    )
