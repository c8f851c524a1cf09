"""An authorization request: what its client asks of the user, or why it is refused (RFC 6749 §4.1.1).

A parameter without a value counts as absent, and one that is unknown is ignored (RFC 6749 §3.1).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from authx.core import pkce
from authx.core.oauth_client import AUTHORIZATION_CODE, ClientFacts, is_client_id
from authx.core.parameters import is_usable, shown
from authx.core.redirects import is_registered
from authx.core.resources import narrow_resources
from authx.core.scopes import intersection, narrow
from authx.errors import AuthorizationRefused, OAuthError, RedirectRefused

#: The longest value of any parameter, in characters. Some clients keep an encrypted record in ``state``.
MAX_VALUE_LENGTH: Final = 4096
MAX_NONCE_LENGTH: Final = 255  # characters

_MAX_AGE: Final = re.compile(r"[0-9]{1,9}")
_PROMPTS: Final = frozenset({"none", "login", "consent"})

Parameters = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A request that may be shown to the user; the registration of its client has allowed all of it."""

    client: ClientFacts
    redirect_uri: str
    scope: tuple[str, ...]
    #: The ``aud`` of the tokens to come; never empty.
    resources: tuple[str, ...]
    #: The S256 challenge, 43 characters.
    challenge: str
    #: To be sent back as it is; None if there was none.
    state: str | None = None
    #: For the id_token; None if there was none.
    nonce: str | None = None
    #: Of ``none``, ``login`` and ``consent``; what else the client asked for is left out.
    prompt: frozenset[str] = frozenset()
    #: How old the user's login may be, in seconds; None if that does not matter.
    max_age: int | None = None


def requested_client_id(parameters: Parameters) -> str:
    """Return the ``client_id`` of an authorization request, to find its client by.

    Raises:
        RedirectRefused: there is none, there are two, or it is none that a client can have.
    """
    client_id = _for_page(parameters, "client_id")
    if not is_client_id(client_id):
        raise RedirectRefused("invalid_request", "client_id is not the id of a client", rule="A1")
    return client_id


def judge_authorization(
    parameters: Parameters,
    client: ClientFacts | None,
    *,
    known_scopes: Collection[str],
    known_resources: Collection[str],
) -> AuthorizationRequest:
    """Judge the request of the client that ``requested_client_id`` names; None where there is no such client.

    Without ``scope`` and ``resource`` it gets all that its client is registered for, as far as the site still
    knows it: few clients can name a resource, and one that could not use its own would help nobody.
    ``known_resources`` must be without the site's own audience: no client is given a token for it.

    Raises:
        RedirectRefused: the client or its redirect URI is in doubt: never redirect (RFC 6749 §4.1.2.1).
        AuthorizationRefused: anything else is wrong, which the client is told at its redirect URI.
    """
    client_id = requested_client_id(parameters)
    if client is None or client.client_id != client_id:
        raise RedirectRefused("invalid_client", "there is no client with this client_id", rule="A1")
    if not client.enabled:
        raise RedirectRefused("invalid_client", "the client is disabled", rule="A1")
    redirect_uri = _for_page(parameters, "redirect_uri")
    if not is_registered(redirect_uri, client.redirect_uris):
        description = "redirect_uri is not one that is registered for this client, character by character"
        raise RedirectRefused("invalid_request", description, rule="A1")
    try:
        return _judge_rest(parameters, client, redirect_uri, known_scopes, known_resources)
    except OAuthError as error:
        raise AuthorizationRefused(
            error.error,
            error.description,
            rule=error.rule,
            redirect_uri=redirect_uri,
            state=_state_to_return(parameters),
        ) from None


def _for_page(parameters: Parameters, name: str) -> str:
    """Return a parameter without which nobody can be sent anywhere."""
    try:
        value = _single(parameters, name)
    except OAuthError as error:
        raise RedirectRefused(error.error, error.description, rule="A1") from None
    if value is None:
        raise RedirectRefused("invalid_request", f"{name} is missing", rule="A1")
    return value


def _judge_rest(
    parameters: Parameters,
    client: ClientFacts,
    redirect_uri: str,
    known_scopes: Collection[str],
    known_resources: Collection[str],
) -> AuthorizationRequest:
    """Judge everything but the client and its redirect URI."""
    for name in parameters:
        if name != "resource":
            _single(parameters, name)
    _check_mode(parameters, client)
    resources = [value for value in parameters.get("resource", ()) if value]
    return AuthorizationRequest(
        client=client,
        redirect_uri=redirect_uri,
        challenge=_challenge(parameters),
        scope=narrow(_single(parameters, "scope"), intersection(client.scope, known_scopes)),
        resources=narrow_resources(resources, intersection(client.resources, known_resources)),
        state=_single(parameters, "state"),
        nonce=_nonce(parameters),
        prompt=_prompt(parameters),
        max_age=_max_age(parameters),
    )


def _single(parameters: Parameters, name: str) -> str | None:
    """Return the one value of a parameter; None where it is absent or empty (RFC 6749 §3.1)."""
    values = parameters.get(name, ())
    if len(values) > 1:
        raise OAuthError("invalid_request", f"{shown(name)} is there more than once", rule="A3")
    value = values[0] if values else ""
    if not is_usable(value, longest=MAX_VALUE_LENGTH):
        raise OAuthError(
            "invalid_request", f"{shown(name)} is too long, or holds characters that it may not", rule="A3"
        )
    return value or None


def _state_to_return(parameters: Parameters) -> str | None:
    try:
        return _single(parameters, "state")
    except OAuthError:
        return None


def _check_mode(parameters: Parameters, client: ClientFacts) -> None:
    """Check how the answer is asked for: a code in the query, and nothing else (RFC 9700 §2.1.2)."""
    for name in ("request", "request_uri"):
        if _single(parameters, name) is not None:
            raise OAuthError(f"{name}_not_supported", f"{name} is not supported: send parameters", rule="A3")
    response_type = _single(parameters, "response_type")
    if response_type is None:
        raise OAuthError("invalid_request", "response_type is missing: send response_type=code", rule="A2")
    if response_type != "code":
        raise OAuthError("unsupported_response_type", "the only response_type is code", rule="A2")
    if _single(parameters, "response_mode") not in (None, "query"):
        raise OAuthError("invalid_request", "the only response_mode is query", rule="A3")
    if not client.may_use(AUTHORIZATION_CODE):
        raise OAuthError("unauthorized_client", f"the client has no grant type {AUTHORIZATION_CODE}")


def _challenge(parameters: Parameters) -> str:
    challenge, method = _single(parameters, "code_challenge"), _single(parameters, "code_challenge_method")
    if challenge is None:
        description = "code_challenge is missing: turn PKCE on in the client, with the method S256"
        raise OAuthError("invalid_request", description, rule="A2")
    if method != pkce.METHOD:
        description = (
            "code_challenge_method must be S256, and without it plain is meant: set the client's PKCE method"
        )
        raise OAuthError("invalid_request", f"{description} to S256", rule="A2")
    if not pkce.is_challenge(challenge):
        raise OAuthError(
            "invalid_request", "code_challenge is not SHA-256 in base64url, 43 characters", rule="A2"
        )
    return challenge


def _nonce(parameters: Parameters) -> str | None:
    nonce = _single(parameters, "nonce")
    if nonce is not None and len(nonce) > MAX_NONCE_LENGTH:
        raise OAuthError("invalid_request", f"nonce is longer than {MAX_NONCE_LENGTH} characters")
    return nonce


def _prompt(parameters: Parameters) -> frozenset[str]:
    """Read ``prompt`` (OpenID Connect Core §3.1.2.1); what is unknown is ignored, and ``select_account``."""
    words = frozenset((_single(parameters, "prompt") or "").split(" ")) - {""}
    if "none" in words and len(words) > 1:
        raise OAuthError("invalid_request", "prompt=none goes with no other prompt")
    return words & _PROMPTS


def _max_age(parameters: Parameters) -> int | None:
    max_age = _single(parameters, "max_age")
    if max_age is not None and not _MAX_AGE.fullmatch(max_age):
        raise OAuthError("invalid_request", "max_age is not a number of seconds")
    return None if max_age is None else int(max_age)
