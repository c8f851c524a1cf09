"""The one gate: signature, claims, and whether the session is alive."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from authx import clocks
from authx.conf import conf
from authx.conf.gate_policy import GatePolicy
from authx.core.access_token import check_claims, named_key
from authx.core.claims import DEFAULT_DATABASE, AccessClaims
from authx.core.keys import Keys
from authx.core.liveness import Liveness
from authx.errors import KeyUnknown, SessionEnded, TokenMalformed
from authx.gate.keys import keyring
from authx.gate.keys.remote import remote_keys
from authx.gate.revocation import sources
from authx.gate.signature_cache import signatures

logger = logging.getLogger("authx")


@sensitive_variables("token")
def verify_access_token(
    token: object,
    *,
    store: sources.RevocationSource | sources.ReasonSource | None = None,
    now: datetime | None = None,
) -> AccessClaims:
    """Return the claims of a valid access token of a live session (RFC 9068 §4).

    ``store`` is asked instead of AUTHX_REVOCATION_STORE; ``now`` is given by tests.

    Raises:
        TokenError: it is malformed, expired, not for us, of an unknown key; or SessionEnded, which says why.
        StoreUnavailable: whether the session is alive cannot be known.
    """
    claims = read_claims(token, now=now)
    ensure_live(claims, sources.answering(store) if store else sources.source(token), now=now)
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
    policy = conf.gate_policy
    seconds = clocks.time() if now is None else now.timestamp()
    claims = signatures.read(token, _keys(policy), now=seconds)
    if policy.jwks_url is not None and claims.expires_in > policy.max_lifetime.total_seconds():
        _complain_of_lifetime(claims.iss)
    check_claims(
        claims,
        issuer=policy.issuer,
        audience=policy.audience if audience is None else audience,
        max_lifetime=policy.max_lifetime,
        leeway=policy.leeway,
        now=seconds,
    )
    if (claims.gty is not None) is not delegated:
        check_grant(claims, delegated=delegated)
    return claims


@sensitive_variables("token")
def signed_claims(token: object, *, now: datetime | None = None) -> AccessClaims:
    """Return what a token with a valid signature says, whether or not it is good for anything now.

    Raises:
        TokenError: the issuer has not signed it.
        StoreUnavailable: the issuer's keys are not known.
    """
    seconds = clocks.time() if now is None else now.timestamp()
    return signatures.read(token, _keys(conf.gate_policy), now=seconds)


@sensitive_variables("token")
def read_anybodys_claims(token: object, *, now: datetime | None = None) -> AccessClaims:
    """Return what ``read_claims`` does of any token of ours, whoever got it and whoever it is for.

    For whoever has a rule of its own about that.

    Raises:
        TokenError: see ``verify_access_token``.
    """
    policy, claims = conf.gate_policy, signed_claims(token, now=now)
    check_claims(
        claims,
        issuer=policy.issuer,
        audience=claims.aud,
        max_lifetime=policy.max_lifetime,
        leeway=policy.leeway,
        now=clocks.time() if now is None else now.timestamp(),
    )
    return claims


def read_before(token: str, database: str) -> AccessClaims | None:
    """Return what ``read_claims`` does of a login's token that was let in before; None if anything is open.

    ``database`` is the current one.

    Raises:
        StoreUnavailable: the keys are not known.
    """
    policy = conf.gate_policy
    if policy.jwks_url is not None:
        return None
    known = signatures.find_approved(token, policy, keyring.keyset_of(database), clocks.time())
    return None if known is None else known.claims


def plainly_good(token: str, database: str) -> AccessClaims | None:
    """Return the claims of a login's token that was let in before, if nothing stands against it now.

    One way through for most requests: the questions are those of ``read_claims`` and ``ensure_live``, asked
    of Redis or of a copy. None where any of them is open, or the settings have it that neither is asked:
    ``read_claims`` and ``ensure_live`` have the answer and the reason. ``database`` is the current one.

    Raises:
        StoreUnavailable: the keys are not known.
    """
    policy = conf.gate_policy
    if not policy.asks_copy or policy.jwks_url is not None:
        return None
    known = signatures.find_approved(token, policy, keyring.keyset_of(database), clocks.time())
    if known is None or (known.claims.db or DEFAULT_DATABASE) != database:
        return None
    has_ended = sources.may_have_ended(known.claims, known.names, policy, database)
    return None if has_ended else known.claims


def approve(token: str, policy: GatePolicy) -> None:
    """Let ``plainly_good`` and ``read_before`` know that a login's token has been let in.

    ``policy`` is that of the settings before it was read.
    """
    signatures.approve(token, policy)


@sensitive_variables("token")
def is_key_at_hand(token: str) -> bool:
    """Return whether the key that the token names is found without reading the database or asking anybody.

    Then ``read_claims`` may be called in an event loop.
    """
    return conf.gate_policy.jwks_url is None and keyring.keyset().is_at_hand(named_key(token))


def check_grant(claims: AccessClaims, *, delegated: bool) -> None:
    """Check that a client got the token, or with ``delegated`` False that none did.

    Raises:
        TokenMalformed: it is of the other kind.
    """
    if (claims.gty is not None) is not delegated:  # a field: a request is asked this twice
        raise TokenMalformed("it is no client's token" if delegated else "it is a client's token")


def ensure_live(
    claims: AccessClaims, store: sources.RevocationSource | None = None, *, now: datetime | None = None
) -> Liveness:
    """Return what ``store`` answers about the session of ``claims``, if it is live.

    Without ``store`` the configured one is asked; one that needs the token itself (``sources.source``) has to
    be given.

    Raises:
        SessionEnded: the session is over; ``reason`` says why.
        KeyUnknown: the key of its token has been withdrawn.
        StoreUnavailable: whether it is live cannot be known.
    """
    store = store or sources.source()
    try:
        found = store.answer(claims, now)
    except KeyUnknown:
        if conf.gate_policy.jwks_url is None:
            keyring.keyset().reload()  # withdrawn elsewhere, a moment ago: it must not sign here either
        raise
    if found.reason is not None:
        raise SessionEnded(
            found.reason,
            sid=_sid(claims),
            replaced_by=found.replaced_by,
            answers_lost=found.answers_lost,
            ended_at=found.ended_at,
        )
    return found


def _keys(policy: GatePolicy) -> Keys:
    """Return the keys that verify: ours, or those of the issuer at AUTHX_JWKS_URL."""
    return keyring.keyset() if policy.jwks_url is None else remote_keys(policy.jwks_url)


def _sid(claims: AccessClaims) -> UUID | None:
    """Return the session's id; None where it is no UUID, as another kind of issuer may choose it."""
    try:
        return UUID(claims.sid)
    except ValueError:
        return None


@lru_cache(maxsize=4)
def _complain_of_lifetime(issuer: str) -> None:
    """Log the cause once per issuer: the client only learns that its token is malformed."""
    logger.error(
        "The tokens of %s live longer than our AUTHX_ACCESS_TOKEN_LIFETIME: set it as there.",
        issuer,
        extra={"event": "lifetime_too_long"},
    )
