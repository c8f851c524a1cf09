"""A token exchange request, read from a form (RFC 8693 §2.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from authx.core.claim_forms import IDENTIFIER
from authx.core.jws import MAX_TOKEN_LENGTH
from authx.core.oauth_client import ACCESS_TOKEN_TYPE, JWT_TYPE
from authx.core.parameters import is_usable, shown
from authx.core.resources import is_resource
from authx.core.scopes import OFFLINE_ACCESS, parse_scope
from authx.errors import OAuthError

#: How many targets one request may name.
MAX_TARGETS: Final = 10
#: Access tokens are JWTs, and some clients name them so.
_TYPES: Final = frozenset({ACCESS_TOKEN_TYPE, JWT_TYPE})
_REPEATABLE: Final = frozenset({"audience", "resource"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """What a service asks for."""

    subject_token: str = field(repr=False)
    #: ACCESS_TOKEN_TYPE or JWT_TYPE, as asked for: the answer's ``issued_token_type``.
    requested_token_type: str = ACCESS_TOKEN_TYPE
    audiences: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    #: None where it asks for none, which is for all that it can have.
    scope: tuple[str, ...] | None = None


def read_exchange(parameters: Mapping[str, Sequence[str]]) -> ExchangeRequest:
    """Read the form of a request whose ``grant_type`` is token exchange.

    Raises:
        OAuthError: a rule is broken that the request alone decides: E2, E3, E6, E7, E12 or E13.
    """
    for name in parameters:
        if name not in _REPEATABLE and len(parameters[name]) > 1:
            raise OAuthError("invalid_request", f"{shown(name)} is there more than once", rule="E2")
    subject_token = _required(parameters, "subject_token")
    if _required(parameters, "subject_token_type") not in _TYPES:
        raise OAuthError("invalid_request", "subject_token_type must be access_token", rule="E3")
    for name in ("actor_token", "actor_token_type", "requested_subject"):
        if _given(parameters, name):
            raise OAuthError(
                "invalid_request", f"{name} is not supported: the client acts itself", rule="E12"
            )
    requested = (_given(parameters, "requested_token_type") or [ACCESS_TOKEN_TYPE])[0]
    if requested not in _TYPES:
        raise OAuthError("invalid_request", "requested_token_type must be access_token", rule="E13")
    audiences, resources = _targets(parameters, "audience"), _targets(parameters, "resource")
    if len({*audiences, *resources}) > MAX_TARGETS:
        raise OAuthError("invalid_target", f"a request names at most {MAX_TARGETS} services", rule="E6")
    return ExchangeRequest(
        subject_token=subject_token,
        requested_token_type=requested,
        audiences=audiences,
        resources=resources,
        scope=_scope(parameters),
    )


def _given(parameters: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """Return the values of a parameter that are not empty (RFC 6749 §3.2)."""
    return [value for value in parameters.get(name, ()) if value]


def _required(parameters: Mapping[str, Sequence[str]], name: str) -> str:
    values = _given(parameters, name)
    if not values:
        raise OAuthError("invalid_request", f"{name} is missing", rule="E2")
    if not is_usable(values[0], longest=MAX_TOKEN_LENGTH):
        raise OAuthError(
            "invalid_request", f"{name} is too long, or holds characters that it may not", rule="E2"
        )
    return values[0]


def _targets(parameters: Mapping[str, Sequence[str]], name: str) -> tuple[str, ...]:
    values = tuple(dict.fromkeys(_given(parameters, name)))
    is_good = is_resource if name == "resource" else IDENTIFIER.fullmatch
    if len(values) > MAX_TARGETS or not all(is_good(value) for value in values):
        raise OAuthError("invalid_target", f"{name} is not what a service is named by", rule="E6")
    return values


def _scope(parameters: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    values = _given(parameters, "scope")
    if not values:
        return None
    try:
        scope = parse_scope(values[0])
    except OAuthError as error:
        raise OAuthError(error.error, error.description, rule="E7") from None
    if OFFLINE_ACCESS in scope:
        raise OAuthError("invalid_request", "offline_access is not for exchanged tokens", rule="E13")
    return scope
