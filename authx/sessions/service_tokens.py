"""Tokens of clients that act for themselves (client credentials, RFC 6749 §4.4).

Each client has one session for them, opened by its first call and used by all that follow while it lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import IntegrityError
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.access_token import write_access_token
from authx.core.actor import NOBODY, Actor
from authx.core.claims import AccessClaims
from authx.core.exchange_request import MAX_TARGETS
from authx.core.oauth_client import CLIENT_CREDENTIALS, ClientFacts
from authx.core.scopes import OFFLINE_ACCESS, join_scope, narrow
from authx.errors import OAuthError, StoreUnavailable
from authx.gate.keys import keyring
from authx.models import DeviceSession, ServiceClient
from authx.sessions.client_facts import demand_grant_type, facts_of, grant_claims
from authx.sessions.client_locks import lock_enabled
from authx.sessions.client_sessions import open_service_session
from authx.sessions.clients_together import Together, read_together, session_key
from authx.sessions.credentials import TokenGrant, claims_of
from authx.store import database


@sensitive_variables()
def service_token(
    client: ServiceClient,
    *,
    audience: str | Sequence[str] = (),
    scope: str | None = None,
    actor: Actor = NOBODY,
    now: datetime | None = None,
    known: Together | None = None,
) -> tuple[AccessClaims, str]:
    """Return the claims and text of an access token in which ``client``, authenticated, acts for itself.

    ``audience`` names services that it may call, or resources of its own; it may be left out where there is
    but one. ``scope`` is a text with spaces; without it the token is good for all that the client may. There
    is no refresh token (RFC 6749 §4.4.3).

    One statement while the client has a live session, and none if ``known`` is what ``read_together`` has
    just found of this client and those that it names. Otherwise one is opened, by one of all who ask at once,
    so this must not run inside a transaction (``non_atomic_requests``).

    Raises:
        OAuthError: ``unauthorized_client``, ``invalid_target`` or ``invalid_scope``; nothing was opened.
        StoreUnavailable: the database cannot be read or written.
        Exception: whatever AUTHX_GRANT_CLAIMS raises.
    """
    database.demand_no_transaction()
    demand_grant_type(client, CLIENT_CREDENTIALS)
    facts = facts_of(client)
    asked = [audience] if isinstance(audience, str) and audience else audience
    if facts.is_public:
        raise OAuthError("unauthorized_client", "the client is public, and cannot act for itself")
    allowed = [name for name in facts.scope if name != OFFLINE_ACCESS]
    granted = TokenGrant(scope=join_scope(narrow(scope, allowed)), audience=_names(facts, asked))
    callees = [name for name in granted.audience if name not in facts.resources]
    if known is not None and not known.answers(callees):
        known = None
    session = _session(client, facts, callees, replace(actor, client_id=client.client_id), now, known)
    extra = grant_claims(session, client)
    return _token(session, granted, extra, now or timezone.now())


def _names(client: ClientFacts, audience: Sequence[str]) -> tuple[str, ...]:
    """Return whom the token is to be for; by default the client's one resource."""
    if len(audience) > MAX_TARGETS:  # each is a part of one statement
        raise OAuthError("invalid_target", f"a request names at most {MAX_TARGETS} services")
    names = tuple(dict.fromkeys(audience or client.resources))
    if not names or (not audience and len(names) > 1):
        raise OAuthError("invalid_target", "name the audience or the resource that the token is for")
    if len(names) > MAX_TARGETS:
        raise OAuthError("invalid_target", f"name no more than {MAX_TARGETS} audiences and resources")
    if any(name in conf.AUDIENCE for name in names):
        raise OAuthError("invalid_target", "a token for the site itself is given to no client")
    return names


@sensitive_variables()
def _token(
    session: DeviceSession, granted: TokenGrant, extra: Any, now: datetime
) -> tuple[AccessClaims, str]:
    key = keyring.keyset().signing
    claims = claims_of(
        session, generation=session.generation, now=now, kid=key.kid, extra=extra, granted=granted
    )
    last = claims.iat + int(service_lifetime().total_seconds())
    claims = replace(claims, gen=None, exp=min(claims.exp, last))  # its session has no refresh tokens
    return claims, write_access_token(claims, key)


def service_lifetime() -> timedelta:
    """Return how long a token between services lasts: no longer than any access token of ours."""
    return min(conf.SERVICE_TOKEN_LIFETIME, conf.ACCESS_TOKEN_LIFETIME)


def _session(
    client: ServiceClient,
    facts: ClientFacts,
    callees: Sequence[str],
    actor: Actor,
    now: datetime | None,
    known: Together | None,
) -> DeviceSession:
    """Return the client's live session; open it if there is none."""
    with database.store_errors():
        for _ in range(database.MAX_ATTEMPTS):
            found = known or read_together(client.client_id, callees)
            known = None
            if not all(_may_call(facts, found.called(name)) for name in callees):
                raise _refusal()
            if found.session is not None and found.session.is_live(now):
                return found.session.session
            try:
                return database.transact(partial(_open, client, actor, now), durable=True)
            except IntegrityError:  # another was first, and there was no lock to wait for
                continue
    raise StoreUnavailable("too many others are opening this client's session")


def _open(client: ServiceClient, actor: Actor, now: datetime | None) -> DeviceSession:
    """Open the session in the transaction, unless another has while we waited for the client's row."""
    lock_enabled(client)
    found = read_together(client.client_id).session
    if found is not None:
        if found.is_live(now):
            return found.session
        DeviceSession.objects.using(database.alias()).filter(pk=found.session.pk).update(login_key=None)
    return open_service_session(client, login_key=session_key(client.client_id), actor=actor, now=now)


def _may_call(facts: ClientFacts, called: Sequence[ServiceClient]) -> bool:
    """Return whether one of the services with a name is the client's to call, and enabled."""
    return any(found.disabled_at is None and found.client_id in facts.may_call for found in called)


def _refusal() -> OAuthError:
    # The same words whether there is no such service, it is disabled, or another client's to call.
    return OAuthError("invalid_target", "the client may not call what it names, or that is disabled")
