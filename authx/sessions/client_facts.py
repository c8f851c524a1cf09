"""Registered clients as the values that the rules of ``authx.core`` judge, and what they may ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

from authx.conf import conf
from authx.core.claims import AccessClaims, as_read
from authx.core.oauth_client import ClientFacts
from authx.core.resources import narrow_resources
from authx.core.scopes import intersection, join_scope, narrow
from authx.errors import OAuthError
from authx.models import DeviceSession, ServiceClient
from authx.sessions.credentials import TokenGrant

#: What AUTHX_GRANT_CLAIMS may not say: authx's own claims, rights by another name than scope, and bindings.
_TAKEN: Final = frozenset({field.name for field in fields(AccessClaims)} | {"roles", "cnf"})


def facts_of(client: ServiceClient) -> ClientFacts:
    """Return the client as a value; reads nothing."""
    return ClientFacts(
        client_id=client.client_id,
        name=client.name,
        auth_method=client.auth_method,
        redirect_uris=tuple(client.redirect_uris or ()),
        grant_types=tuple(client.grant_types or ()),
        scope=tuple(client.scope.split()),
        resources=tuple(client.resources or ()),
        audience=client.audience,
        may_call=tuple(client.may_call or ()),
        trusted=client.trusted,
        may_manage_sessions=client.may_manage_sessions,
        enabled=client.disabled_at is None,
        jwks=client.jwks,
        jwks_uri=client.jwks_uri,
        idle_lifetime=client.idle_lifetime,
        session_lifetime=client.session_lifetime,
    )


def demand_grant_type(client: ServiceClient, grant_type: str) -> None:
    """Refuse a client that is not registered for this grant type.

    Raises:
        OAuthError: ``unauthorized_client`` (RFC 6749 §5.2).
    """
    if grant_type not in (client.grant_types or ()):
        raise OAuthError("unauthorized_client", "the client is not registered for this grant type")


def narrowed(
    client: ServiceClient, session: DeviceSession, *, scope: str | None, resources: Sequence[str]
) -> TokenGrant:
    """Return what an access token of the client's session is good for, as asked for or all that it may be.

    What the client has lost since the session was opened is left out.

    Raises:
        OAuthError: ``invalid_scope`` or ``invalid_target``: it asks for more, or nothing is left.
    """
    facts = facts_of(client)
    scopes = intersection(session.scope.split(), facts.scope)
    if session.scope and not scopes:
        raise OAuthError("invalid_scope", "the client may no longer have any scope of this grant")
    audience = narrow_resources(resources, intersection(session.audience or (), facts.resources))
    return TokenGrant(scope=join_scope(narrow(scope, scopes)), audience=audience)


def grant_claims(session: DeviceSession, client: ServiceClient) -> Mapping[str, Any]:
    """Return the claims of AUTHX_GRANT_CLAIMS, ``as_read``.

    Raises:
        ImproperlyConfigured: it returns a claim that is not the site's to set.
        Exception: whatever the site's own function raises.
    """
    if conf.GRANT_CLAIMS is None:
        return MappingProxyType({})
    claims = dict(conf.GRANT_CLAIMS(session, client))
    if taken := sorted(_TAKEN & claims.keys()):
        text = f"AUTHX_GRANT_CLAIMS returns {', '.join(taken)}, which it may not set: leave them out"
        raise ImproperlyConfigured(text)
    return as_read(claims)
