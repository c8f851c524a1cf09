"""The one credential of a handshake, or why there can be none; nothing here asks anybody."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import parse_qs

from django.core.exceptions import DisallowedHost
from django.views.decorators.debug import sensitive_variables

from authx.conf import secret_keys
from authx.core.refresh_token import read_refresh_token
from authx.errors import HandshakeInvalid, OriginNotAllowed, RefreshMalformed
from authx.http.cookies import session_cookies
from authx.http.origin import is_allowed_origin
from authx.http.renewal import names_bearer
from authx.sockets.handshake import MARKER, as_request, header, offered, subprotocols

#: What people call a token in a query string, which is never read: it stands in the logs of servers (W4).
_IN_QUERY = frozenset({"token", "access_token", "auth", "jwt", "bearer", "authorization", "ticket"})


class Kind(Enum):
    """What a credential is; its value is the name in a frame that renews."""

    ACCESS_TOKEN = "access_token"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a client presents, as it was sent; it may be worth nothing."""

    text: str = field(repr=False)
    kind: Kind = Kind.ACCESS_TOKEN
    #: The ``sid`` that its session must have; None where nothing says so.
    sid: str | None = None
    #: The origin of the page that shows it, ``""`` where there is none: a ticket is good for one alone.
    origin: str = ""
    #: Whether the browser has added it by itself: no client of OAuth holds such a one.
    is_cookie: bool = False


@sensitive_variables()
def read_credential(scope: Mapping[str, Any]) -> Credential | None:
    """Return the credential of a handshake; None if it carries none.

    Beside a token that a script has put there, the cookie is not looked at, however bad the token is: a page
    of somebody else's cannot put one there, but the browser adds the cookie by itself.

    Raises:
        HandshakeInvalid: it carries two, or the Host header names no host of ours.
        OriginNotAllowed: it carries the cookie, and comes from a page of another origin.
    """
    found = [*_bearers(header(scope, b"authorization")), *_offers(scope)]
    if len(found) > 1:
        raise HandshakeInvalid("there are two credentials")
    return found[0] if found else _cookie(scope)


def names_token_in_query(scope: Mapping[str, Any]) -> bool:
    """Return whether the query string seems to hold a token."""
    query = scope.get("query_string", b"").decode("latin-1")
    return not _IN_QUERY.isdisjoint(name.lower() for name in parse_qs(query, keep_blank_values=True))


@sensitive_variables()
def _bearers(authorization: str) -> list[Credential]:
    if "," in authorization:  # by which two headers are joined; no token of ours contains one
        raise HandshakeInvalid("there are two Authorization headers")
    if not names_bearer(authorization):
        return []
    scheme, _, token = authorization.strip(" ").partition(" ")
    return [Credential(token if scheme.lower() == "bearer" else "")]


@sensitive_variables()
def _offers(scope: Mapping[str, Any]) -> list[Credential]:
    """Return the tokens and tickets in the subprotocols, which is where a browser's script can put one.

    Raises:
        HandshakeInvalid: nothing stands beside them that can be selected. Browsers fail a socket that offers
            subprotocols and is answered with none, and what is selected is sent back.
    """
    tokens = [Credential(text) for text in offered(scope, "bearer")]
    tickets = [
        Credential(text, Kind.TICKET, origin=header(scope, b"origin")) for text in offered(scope, "ticket")
    ]
    found = [*tokens, *tickets]
    if found and MARKER not in subprotocols(scope):
        raise HandshakeInvalid(f"the subprotocol {MARKER} is not offered beside the token")
    return found


@sensitive_variables()
def _cookie(scope: Mapping[str, Any]) -> Credential | None:
    if not header(scope, b"cookie"):
        return None
    request = as_request(scope)
    access, refresh = session_cookies(request) or (None, None)
    if access is None:
        return None
    try:
        if not is_allowed_origin(request):
            raise OriginNotAllowed
    except DisallowedHost:
        raise HandshakeInvalid("the Host header names no host of this site") from None
    return Credential(access, sid=_sid_of(refresh), is_cookie=True)


def _sid_of(refresh_token: str | None) -> str | None:
    """Return the session of the refresh cookie, whose access cookie alone is a credential."""
    with suppress(RefreshMalformed):
        return None if refresh_token is None else str(read_refresh_token(refresh_token, secret_keys()).sid)
    return None
