"""The questions of a socket: what is in its credential, whether the session is live, who the user is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.claims import AccessClaims
from authx.errors import TokenMalformed
from authx.gate.principal import Principal
from authx.gate.revocation import sources
from authx.gate.verify import ensure_live, read_claims
from authx.sockets.credentials import Credential
from authx.sockets.pool import run_in_pool


@dataclass(frozen=True, slots=True)
class Admitted:
    """Whom a credential has let in."""

    claims: AccessClaims
    #: As read in that moment; at a service that only verifies, a ``Principal``.
    user: Any


async def read(credential: Credential) -> AccessClaims:
    """Return what a credential claims. Asks about no session; the keys may have to be read.

    Raises:
        TokenError: it is not valid, or not a credential beside the other cookie.
        StoreUnavailable: the keys cannot be read.
    """
    return await run_in_pool(partial(_read, credential))


async def admit(credential: Credential, claims: AccessClaims) -> Admitted:
    """Return whom a credential lets in, if its session is live.

    The session itself is asked about, whatever AUTHX_REVOCATION_STORE and its lag are: a socket lives long.

    Raises:
        TokenError: as ``verify_access_token``; SessionEnded says why.
        StoreUnavailable: it cannot be known.
    """
    return await run_in_pool(partial(_admit, credential, claims))


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
def _read(credential: Credential) -> AccessClaims:
    claims = read_claims(credential.text)
    if credential.sid not in {None, claims.sid}:
        raise TokenMalformed("the access cookie is of another session than the refresh cookie")
    return claims


@sensitive_variables()
def _admit(credential: Credential, claims: AccessClaims) -> Admitted:
    if conf.REVOCATION_STORE == "remote":
        ensure_live(claims, sources.source(credential.text))
        return Admitted(claims, Principal(claims))
    from authx.sessions.authentication import admit_exactly  # a service has neither our tables nor our users

    caller = admit_exactly(claims)
    return Admitted(claims, caller.user())


def _user_of(claims: AccessClaims) -> Any:
    if conf.REVOCATION_STORE == "remote":
        return Principal(claims)
    from authx.sessions.liveness import find_live

    return find_live(claims).session.user
