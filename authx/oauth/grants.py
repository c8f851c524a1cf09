"""The four grants of the token endpoint: from a form to an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from authx.core.actor import Actor
from authx.core.claims import AccessClaims
from authx.core.oauth_client import (
    ACCESS_TOKEN_TYPE,
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
)
from authx.errors import OAuthError
from authx.models import ServiceClient
from authx.oauth.form import Form
from authx.sessions import Credentials
from authx.sessions.clients_together import Together
from authx.sessions.exchanging import exchange_token
from authx.sessions.granting import redeem_code
from authx.sessions.refreshing_clients import refresh_for_client
from authx.sessions.service_tokens import service_token

Answer = dict[str, Any]


def answer(client: ServiceClient, form: Form, actor: Actor, known: Together | None = None) -> Answer:
    """Return the answer to a client that has proved who it is (RFC 6749 §5.1, RFC 8693 §2.2.1).

    ``known`` is what was read with the client, if anything was.

    Raises:
        OAuthError: the request is refused; the error says why.
        StoreUnavailable: the database cannot be read or written; nothing was spent.
    """
    grant_type = form.require("grant_type")
    grant = _GRANTS.get(grant_type)
    if grant is None:
        raise OAuthError("unsupported_grant_type", f"grant_type is none of {', '.join(_GRANTS)}")
    return grant(client, form, actor, known)


def _code(client: ServiceClient, form: Form, actor: Actor, known: Together | None) -> Answer:
    return _of_session(
        redeem_code(
            client,
            form.require("code"),
            redirect_uri=form.require("redirect_uri"),
            verifier=form.require("code_verifier"),
            resources=form.all("resource"),
            actor=actor,
        )
    )


def _refresh(client: ServiceClient, form: Form, actor: Actor, known: Together | None) -> Answer:
    return _of_session(
        refresh_for_client(
            client,
            form.require("refresh_token"),
            scope=form.get("scope"),
            resources=form.all("resource"),
            actor=actor,
        )
    )


def _own(client: ServiceClient, form: Form, actor: Actor, known: Together | None) -> Answer:
    targets = (*form.all("audience"), *form.all("resource"))
    claims, token = service_token(client, audience=targets, scope=form.get("scope"), actor=actor, known=known)
    return _of_token(claims, token)


def _exchange(client: ServiceClient, form: Form, actor: Actor, known: Together | None) -> Answer:
    claims, token = exchange_token(client, form.values, actor=actor, known=known)
    issued = form.get("requested_token_type") or ACCESS_TOKEN_TYPE
    return {**_of_token(claims, token), "issued_token_type": issued}


def _of_session(credentials: Credentials) -> Answer:
    found = _of_token(credentials.claims, credentials.access_token)
    if credentials.refresh_token:
        found["refresh_token"] = credentials.refresh_token
    return found


def _of_token(claims: AccessClaims, token: str) -> Answer:
    return {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": claims.expires_in,
        "scope": " ".join(claims.scopes),
    }


_GRANTS: Final[dict[str, Callable[[ServiceClient, Form, Actor, Together | None], Answer]]] = {
    AUTHORIZATION_CODE: _code,
    REFRESH_TOKEN: _refresh,
    CLIENT_CREDENTIALS: _own,
    TOKEN_EXCHANGE: _exchange,
}
