"""The one gate: signature, claims, and whether the session is alive."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.access_token import check_claims
from authx.core.claims import AccessClaims
from authx.core.keys import Keys
from authx.core.liveness import Liveness
from authx.errors import KeyUnknown, SessionEnded, TokenMalformed
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
    """Return the claims of a valid access token of a live session (RFC 9068 §4).

    ``store`` is asked instead of AUTHX_REVOCATION_STORE; ``now`` is given by tests.

    Raises:
        TokenError: it is malformed, expired, not for us, of an unknown key; or SessionEnded, which says why.
        StoreUnavailable: whether the session is alive cannot be known.
    """
    claims = read_claims(token, now=now)
    ensure_live(claims, store or sources.source(token), now=now)
    return claims


@sensitive_variables("token")
def read_claims(
    token: object,
    *,
    audience: Collection[str] | None = None,
    delegated: bool = False,
    now: datetime | None = None,
) -> AccessClaims:
    """Return the claims of an unexpired token with a valid signature, without asking about its session.

    It has to be for one of ``audience``, AUTHX_AUDIENCE unless given. A client's token is refused, because it
    is nobody's login; with ``delegated``, any other is.

    Raises:
        TokenError: see ``verify_access_token``.
    """
    seconds = time.time() if now is None else now.timestamp()
    claims = signed_claims(token, now=now)
    longest = conf.ACCESS_TOKEN_LIFETIME
    if conf.JWKS_URL and claims.expires_in > longest.total_seconds():
        _complain_of_lifetime(claims.iss)
    check_claims(
        claims,
        issuer=conf.ISSUER,
        audience=conf.AUDIENCE if audience is None else audience,
        max_lifetime=longest,
        leeway=conf.CLOCK_LEEWAY,
        now=seconds,
    )
    check_grant(claims, delegated=delegated)
    return claims


@sensitive_variables("token")
def signed_claims(token: object, *, now: datetime | None = None) -> AccessClaims:
    """Return what a token with a valid signature says, whether or not it is good for anything now.

    Raises:
        TokenError: the issuer has not signed it.
        StoreUnavailable: the issuer's keys are not known.
    """
    seconds = time.time() if now is None else now.timestamp()
    return signatures.read(token, _keys(), now=seconds)


def check_grant(claims: AccessClaims, *, delegated: bool) -> None:
    """Check that a client got the token, or with ``delegated`` False that none did.

    Raises:
        TokenMalformed: it is of the other kind.
    """
    if (claims.gty is not None) is not delegated:  # a field: a request is asked this twice
        raise TokenMalformed("it is no client's token" if delegated else "it is a client's token")


def ensure_live(
    claims: AccessClaims, store: Source | None = None, *, now: datetime | None = None
) -> Liveness:
    """Return what ``store`` answers about the session of ``claims``, if it is live.

    Without ``store`` the configured one is asked; one that needs the token itself (``sources.source``) has to
    be given.

    Raises:
        SessionEnded: the session is over; ``reason`` says why.
        KeyUnknown: the key of its token has been withdrawn.
        StoreUnavailable: whether it is live cannot be known.
    """
    try:
        found = sources.ask(store, claims, now)
    except KeyUnknown:
        if not conf.JWKS_URL:
            keyring.keyset().reload()  # withdrawn elsewhere, a moment ago: it must not sign here either
        raise
    if found.reason is not None:
        raise SessionEnded(
            found.reason,
            sid=_sid(claims),
            replaced_by=found.replaced_by,
            answers_lost=found.answers_lost,
        )
    return found


def _sid(claims: AccessClaims) -> UUID | None:
    """Return the session's id; None where it is no UUID, as another kind of issuer may choose it."""
    try:
        return UUID(claims.sid)
    except ValueError:
        return None


def _keys() -> Keys:
    """Return whose signatures count: the issuer's, or our own."""
    return remote_keys(conf.JWKS_URL) if conf.JWKS_URL else keyring.keyset()


@lru_cache(maxsize=4)
def _complain_of_lifetime(issuer: str) -> None:
    """Log the cause once per issuer: the client only learns that its token is malformed."""
    logger.error(
        "The tokens of %s live longer than our AUTHX_ACCESS_TOKEN_LIFETIME: set it as there.", issuer
    )
