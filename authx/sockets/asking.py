"""The questions of a socket: what is in its credential, whether the session is live, who the user is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.claims import AccessClaims
from authx.errors import OriginNotAllowed, TokenError, TokenMalformed, TokenNotForUs
from authx.gate.principal import Principal
from authx.gate.revocation import sources
from authx.gate.verify import ensure_live, read_claims
from authx.sockets.clients import Clients
from authx.sockets.credentials import Credential, Kind
from authx.sockets.pool import run_in_pool
from authx.sockets.watching import Watcher, watcher_here

if TYPE_CHECKING:
    from authx.sessions.authentication import Caller


@dataclass(frozen=True, slots=True)
class Admitted:
    """Whom a credential has let in."""

    claims: AccessClaims
    #: As read in that moment; at a service that only verifies, a ``Principal``.
    user: Any


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a credential that is valid by itself claims, and how to ask about its session."""

    claims: AccessClaims
    ask: Callable[[], Admitted] = field(repr=False)


async def read(credential: Credential, clients: Clients | None = None) -> Claimed:
    """Return what a credential claims. Asks about no session; the keys may have to be read.

    It may be one of ``clients``, if there are any.

    Raises:
        TokenError: it is not valid, or not a credential beside the other cookie.
        ScopeMissing: it is a client's, and lacks a scope.
        OriginNotAllowed: it is a ticket for pages of another origin.
        StoreUnavailable: the keys cannot be read.
    """
    return await run_in_pool(partial(_read, credential, clients))


async def admit(claimed: Claimed) -> Admitted:
    """Return whom a credential lets in, if its session is live.

    The session itself is asked about, whatever AUTHX_REVOCATION_STORE and its lag are: a socket lives long.

    Raises:
        TokenError: as ``verify_access_token``; SessionEnded says why.
        StoreUnavailable: it cannot be known.
    """
    return await run_in_pool(claimed.ask)


def watcher() -> Watcher:
    """Return the watcher of this event loop; it asks here while there are too many endings to follow."""
    return watcher_here(None if conf.REVOCATION_STORE == "remote" else entries_of)


async def user_of(claims: AccessClaims) -> Any:
    """Return the user of a live session, as read now; raises as ``admit`` does."""
    return await run_in_pool(partial(_user_of, claims))


async def entries_of(sids: Collection[str], kids: Collection[str]) -> Mapping[str, str]:
    """Return what the log would say of these sessions and keys, asked of their rows.

    Raises:
        StoreUnavailable: it cannot be known.
    """
    from authx.sessions.queries import entries_of

    return await run_in_pool(partial(entries_of, sids, kids))


@sensitive_variables()
def _read(credential: Credential, clients: Clients | None) -> Claimed:
    if credential.kind is Kind.TICKET:
        return _read_ticket(credential)
    claims = _read_token(credential, clients)
    if credential.sid not in {None, claims.sid}:
        raise TokenMalformed("the access cookie is of another session than the refresh cookie")
    is_remote = conf.REVOCATION_STORE == "remote"
    return Claimed(claims, partial(_verify if is_remote else _admit, credential.text, claims))


@sensitive_variables()
def _read_token(credential: Credential, clients: Clients | None) -> AccessClaims:
    try:
        return read_claims(credential.text)
    except TokenError as error:
        if clients is None or credential.is_cookie:
            raise
        refused = error
    try:
        claims = read_claims(credential.text, audience=clients.resources, delegated=True)
    except (TokenMalformed, TokenNotForUs):
        raise refused from None  # it is no client's, or none that is served here
    clients.demand_scope(claims)
    return claims


@sensitive_variables()
def _read_ticket(credential: Credential) -> Claimed:
    if conf.REVOCATION_STORE == "remote":
        raise TokenMalformed("a ticket is good at its issuer alone")
    from authx.sessions import tickets

    ticket = tickets.read(credential.text)
    if not ticket.is_from(credential.origin):
        raise OriginNotAllowed("the ticket is for pages of another origin")
    return Claimed(tickets.claims_in(ticket), lambda: _whom(tickets.take(ticket)))


@sensitive_variables()
def _verify(text: str, claims: AccessClaims) -> Admitted:
    """Ask the issuer, at a service that has neither our tables nor our users."""
    ensure_live(claims, sources.source(text))
    return Admitted(claims, Principal(claims))


@sensitive_variables()
def _admit(text: str, claims: AccessClaims) -> Admitted:
    from authx.sessions.authentication import admit_exactly

    return _whom(admit_exactly(claims, delegated=claims.is_delegated))


def _whom(caller: Caller) -> Admitted:
    return Admitted(caller.claims, caller.user())


def _user_of(claims: AccessClaims) -> Any:
    if conf.REVOCATION_STORE == "remote":
        return Principal(claims)
    from authx.sessions.authentication import Caller
    from authx.sessions.liveness import find_live

    return Caller(claims, find_live(claims, delegated=claims.is_delegated)).user()
