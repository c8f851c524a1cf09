"""Tokens of clients that act for themselves (client credentials, RFC 6749 §4.4).

Each client has one session for them, opened by its first call and used by all that follow while it lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any

from django.db import IntegrityError, models
from django.db.models import Exists
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
from authx.models import DeviceSession, ServiceClient, is_marked
from authx.models.exactly import Octets, is_exactly
from authx.sessions.client_facts import demand_grant_type, facts_of, grant_claims
from authx.sessions.client_locks import lock_enabled
from authx.sessions.client_sessions import open_service_session
from authx.sessions.credentials import TokenGrant, claims_of
from authx.store import database
from authx.store.database import DatabaseNow


@sensitive_variables()
def service_token(
    client: ServiceClient,
    *,
    audience: str | Sequence[str] = (),
    scope: str | None = None,
    actor: Actor = NOBODY,
    now: datetime | None = None,
) -> tuple[AccessClaims, str]:
    """Return the claims and text of an access token in which ``client``, authenticated, acts for itself.

    ``audience`` names services that it may call, or resources of its own; it may be left out where there is
    but one. ``scope`` is a text with spaces; without it the token is good for all that the client may. There
    is no refresh token (RFC 6749 §4.4.3).

    One statement while the client has a live session. Otherwise one is opened, by one of all who ask at once,
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
    session = _session(client, facts, granted.audience, replace(actor, client_id=client.client_id), now)
    extra = grant_claims(session, client)
    return _token(session, granted, extra, now or timezone.now())


def _names(client: ClientFacts, audience: Sequence[str]) -> tuple[str, ...]:
    """Return whom the token is to be for; by default the client's one resource."""
    if len(audience) > MAX_TARGETS:  # each is a part of one statement
        raise OAuthError("invalid_target", f"a request names at most {MAX_TARGETS} services")
    names = tuple(dict.fromkeys(audience or client.resources))
    if not names or (not audience and len(names) > 1):
        raise OAuthError("invalid_target", "name the audience or the resource that the token is for")
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
    audience: Sequence[str],
    actor: Actor,
    now: datetime | None,
) -> DeviceSession:
    """Return the client's live session; open it if there is none."""
    with database.store_errors():
        for _ in range(database.MAX_ATTEMPTS):
            callees = [name for name in audience if name not in facts.resources]
            found = _find(client, facts, callees)
            if found is None:
                _demand_callees(facts, callees)
            elif not all(vars(found)[f"_callee{number}"] for number in range(len(callees))):
                raise _refusal()
            elif _is_live(found, now):
                return found
            try:
                return database.transact(partial(_open, client, facts, actor, now), durable=True)
            except IntegrityError:  # another was first, and there was no lock to wait for
                continue
    raise StoreUnavailable("too many others are opening this client's session")


def _open(client: ServiceClient, facts: ClientFacts, actor: Actor, now: datetime | None) -> DeviceSession:
    """Open the session in the transaction, unless another has while we waited for the client's row."""
    lock_enabled(client)
    found = _find(client, facts, ())
    if found is not None:
        if _is_live(found, now):
            return found
        DeviceSession.objects.using(database.alias()).filter(pk=found.pk).update(login_key=None)
    return open_service_session(client, login_key=_key(client), actor=actor, now=now)


def _find(client: ServiceClient, facts: ClientFacts, callees: Sequence[str]) -> DeviceSession | None:
    """Return the client's newest session, and beside it the clock and whether it may call each service."""
    sessions = DeviceSession.objects.using(database.alias()).filter(login_key=_key(client))
    clock = DatabaseNow(output_field=models.DateTimeField())
    may_call = {f"_callee{number}": Exists(_callees(facts, name)) for number, name in enumerate(callees)}
    return sessions.annotate(_clock=clock, _marked=is_marked(), **may_call).first()


def _demand_callees(facts: ClientFacts, callees: Sequence[str]) -> None:
    if not all(_callees(facts, name).exists() for name in callees):
        raise _refusal()


def _callees(facts: ClientFacts, audience: str) -> models.QuerySet[ServiceClient]:
    """Return the service of this name, if the client may call it and it is enabled.

    Compared by octets: a database may take A and a for the same.
    """
    services = ServiceClient.objects.using(database.alias()).filter(audience=audience, disabled_at=None)
    services = services.filter(is_exactly("audience", audience)).alias(octets=Octets("client_id"))
    return services.filter(octets__in=facts.may_call)


def _refusal() -> OAuthError:
    # The same words whether there is no such service, it is disabled, or another client's to call.
    return OAuthError("invalid_target", "the client may not call what it names, or that is disabled")


def _is_live(session: DeviceSession, now: datetime | None) -> bool:
    read = vars(session)
    return not read["_marked"] and session.ended_reason(now or read["_clock"]) is None


def _key(client: ServiceClient) -> str:
    """Return by which its session is found, in a unique column: SHA-256 hex."""
    return sha256(f"service\n{client.client_id}".encode()).hexdigest()
