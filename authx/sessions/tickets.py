"""Tickets for sockets: made for a session that is signed in, and taken once."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core import socket_ticket
from authx.core.claims import AccessClaims
from authx.core.socket_ticket import NONCE_LENGTH, SocketTicket
from authx.errors import StoreUnavailable, TokenMalformed
from authx.sessions.authentication import Caller
from authx.sessions.credentials import claims_of
from authx.sessions.liveness import find_live
from authx.sessions.single_use import prune_used, use_up

#: One in so many takers deletes old rows.
_TIDIES: Final = 100


@sensitive_variables()
def mint(claims: AccessClaims, *, origin: str, now: datetime | None = None) -> str:
    """Return a ticket for the session of a token, to be shown from a page of ``origin`` alone.

    A socket that it opens lives as long as the token. ``origin`` is ``""`` for a client that has none. No
    statement.
    """
    ticket = SocketTicket(
        sid=UUID(claims.sid),
        sub=claims.sub,
        kid=claims.kid,
        era=claims.era or 0,
        exp=claims.exp,
        iat=int((now or timezone.now()).timestamp()),
        origin=socket_ticket.hash_of(origin),
        nonce=secrets.token_bytes(NONCE_LENGTH),
    )
    return ticket.write(secret_keys())


@sensitive_variables()
def read(text: str, *, now: datetime | None = None) -> SocketTicket:
    """Return what a ticket says; it is not taken by that.

    Raises:
        TokenMalformed: it was never one of ours.
        TokenExpired: it is too old.
    """
    seconds = (now or timezone.now()).timestamp()
    return socket_ticket.read_ticket(text, secret_keys(), leeway=conf.CLOCK_LEEWAY, now=seconds)


def claims_in(ticket: SocketTicket) -> AccessClaims:
    """Return the claims by which the session and its end are found; what else a token says is not in it."""
    return AccessClaims(
        iss=conf.ISSUER,
        sub=ticket.sub,
        aud=conf.AUDIENCE,
        exp=ticket.exp,
        iat=ticket.iat,
        jti=ticket.name,
        client_id=conf.CLIENT_ID,
        sid=str(ticket.sid),
        era=ticket.era or None,
        kid=ticket.kid,
    )


def take(ticket: SocketTicket, *, now: datetime | None = None) -> Caller:
    """Return the caller whom a ticket lets in, with the claims that a token would have; it is used up.

    A session that has ended uses up nothing. Two statements.

    Raises:
        TokenMalformed: it has been taken before.
        TokenError: as ``find_live``; SessionEnded says why.
        StoreUnavailable: the database cannot be asked, or not be written.
    """
    named = claims_in(ticket)
    found = find_live(named, now=now)
    _use_up(ticket, now or timezone.now())
    whole = claims_of(found.session, generation=found.session.generation, now=found.now, kid=ticket.kid)
    return Caller(replace(whole, exp=named.exp, iat=named.iat, nbf=None, jti=named.jti, era=named.era), found)


def _use_up(ticket: SocketTicket, at: datetime) -> None:
    if not use_up(ticket.name, at):
        raise TokenMalformed("the ticket has been taken before")
    if int.from_bytes(ticket.nonce) % _TIDIES == 0:
        with suppress(StoreUnavailable):
            next(prune_used(1000, now=at), None)
