"""Clients as text, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from authx.conf import conf
from authx.core.oauth_client import AUTHORIZATION_CODE
from authx.issuer.clients import clients
from authx.models import ServiceClient


def listed(client: ServiceClient) -> str:
    """Return a client as a line of a list."""
    return f"{client.client_id}  {client.name}  {_state(client)}{_kind(client)}"


def described(client: ServiceClient) -> Iterator[str]:
    """Yield the lines that tell everything but secrets about one."""
    names = dict(clients().filter(client_id__in=client.may_call or ()).values_list("client_id", "audience"))
    calls = [f"{client_id} ({names.get(client_id) or 'no audience'})" for client_id in client.may_call or ()]
    rows: dict[str, Any] = {
        "client_id": client.client_id,
        "name": client.name,
        "state": _state(client),
        "created": f"{client.created_at:%Y-%m-%d %H:%M} UTC",
        "auth method": client.auth_method,
        "keys": client.jwks_uri or ", ".join(jwk["kid"] for jwk in (client.jwks or {}).get("keys", ())),
        "grant types": client.grant_types,
        "redirect URIs": client.redirect_uris,
        "scope": client.scope,
        "resources": client.resources,
        "audience": client.audience,
        "may call": calls,
        "origins": client.origins,
        "trusted": "users are not asked for consent" if client.trusted else "",
        "sessions": "may end everybody's" if client.may_manage_sessions else "",
        "idle lifetime": client.idle_lifetime,
        "session lifetime": client.session_lifetime,
    }
    for label, value in rows.items():
        values = value if isinstance(value, list) else [value]
        for number, item in enumerate(filter(None, values)):
            yield f"{'' if number else label:<17} {item}"


def unknown_to_the_settings(client: ServiceClient) -> Iterator[str]:
    """Yield what an app is registered for and cannot get, because the settings do not name it."""
    if AUTHORIZATION_CODE not in (client.grant_types or ()):
        return
    if unknown := [scope for scope in client.scope.split() if scope not in conf.SCOPES]:
        yield f"AUTHX_SCOPES does not describe {', '.join(unknown)}: users cannot be asked for it."
    if unknown := [resource for resource in client.resources or () if resource not in conf.RESOURCES]:
        yield f"AUTHX_RESOURCES does not name {', '.join(unknown)}: no token is given for it."


def _state(client: ServiceClient) -> str:
    return f"disabled {client.disabled_at:%Y-%m-%d %H:%M} UTC" if client.disabled_at else "active"


def _kind(client: ServiceClient) -> str:
    parts = [
        "app" if client.redirect_uris else "",
        "public" if client.auth_method == ServiceClient.AuthMethod.NONE else "",
        f"for {client.audience}" if client.audience else "",
    ]
    text = ", ".join(filter(None, parts))
    return f"  {text}" if text else ""
