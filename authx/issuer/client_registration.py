"""Registering clients, and changing what is registered; each is judged as a whole before it is saved."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.device import clean_text
from authx.core.oauth_client import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    CLIENT_SECRET,
    NONE,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
)
from authx.issuer.client_lookup import clients, find_client, with_audience
from authx.issuer.client_problems import LISTS, ClientInvalid, problems_of
from authx.issuer.client_secrets import hash_of, new_secret
from authx.models import ServiceClient
from authx.store import database

#: Short names that callers may use for the grant types with long ones.
SHORT_NAMES: Final = {"token_exchange": TOKEN_EXCHANGE, "token-exchange": TOKEN_EXCHANGE}
#: What ``update_client`` may change.
FIELDS: Final = (
    "name",
    "auth_method",
    "redirect_uris",
    "grant_types",
    "scope",
    "resources",
    "audience",
    "may_call",
    "trusted",
    "may_manage_sessions",
    "origins",
    "jwks",
    "jwks_uri",
    "idle_lifetime",
    "session_lifetime",
)


@sensitive_variables("secret")
def create_client(
    name: str,
    *,
    auth_method: str = CLIENT_SECRET,
    redirect_uris: Iterable[str] = (),
    grant_types: Iterable[str] | None = None,
    scope: str | Iterable[str] = "",
    resources: Iterable[str] = (),
    audience: str = "",
    may_call: Iterable[str] = (),
    trusted: bool = False,
    may_manage_sessions: bool = False,
    origins: Iterable[str] = (),
    jwks: Mapping[str, Any] | None = None,
    jwks_uri: str = "",
    idle_lifetime: timedelta | None = None,
    session_lifetime: timedelta | None = None,
) -> tuple[ServiceClient, str | None]:
    """Register a client; return it with its secret, which is shown this once, or None if it has none.

    ``may_call`` names clients by their ids or audiences. Without ``grant_types`` it gets those that it can
    use: the code flow with refresh tokens if it has redirect URIs; if it may call somebody, or has resources
    and no redirect URIs, and can prove who it is, its own tokens; and token exchange if it may call somebody
    and has an audience.

    Raises:
        ClientInvalid: a ValueError with everything that is wrong with it.
        StoreUnavailable: the database cannot be written.
    """
    given = locals()
    client = ServiceClient(created_at=timezone.now())
    _assign(client, {field: given[field] for field in FIELDS if field != "grant_types"})
    prefix = "app" if client.redirect_uris else "service"
    client.client_id = f"{prefix}-{secrets.token_hex(8)}"
    _assign(client, {"grant_types": usable_grants(client) if grant_types is None else grant_types})
    _check(client)
    secret = new_secret() if client.auth_method == CLIENT_SECRET else None
    client.secret_hash = "" if secret is None else hash_of(secret)
    with database.store_errors():
        client.save(using=database.alias(), force_insert=True)
    return client, secret


def update_client(client: ServiceClient, **changes: Any) -> ServiceClient:
    """Change some of ``FIELDS`` of a client; return it as it is now.

    ``grant_types`` may be None, for those that it can use by its other fields. A client that no longer has
    ``auth_method`` client_secret loses its secret; one that now has needs ``renew_secret``.
    Its sessions go on: what they may do is narrowed at their next refresh.

    Raises:
        TypeError: there is no such field.
        ClientInvalid: a ValueError, as of ``create_client``; nothing was changed.
        StoreUnavailable: the database cannot be written.
    """
    if unknown := sorted(changes.keys() - set(FIELDS)):
        raise TypeError(f"a client has no {', '.join(unknown)} to change")
    with database.store_errors():
        changed = clients().get(pk=client.pk)
        _assign(changed, changes)
        if changes.get("grant_types", ()) is None:
            _assign(changed, {"grant_types": usable_grants(changed)})
        _check(changed)
        written = [*changes]
        if changed.auth_method != CLIENT_SECRET:
            changed.secret_hash = ""
            written.append("secret_hash")
        changed.save(using=database.alias(), update_fields=written)
    return changed


@sensitive_variables("secret")
def renew_secret(client: ServiceClient) -> str:
    """Replace the client's secret and enable it; return the new one, which is shown this once.

    Raises:
        ValueError: it proves who it is by another method, and has no secret.
        StoreUnavailable: the database cannot be written.
    """
    secret = new_secret()
    with database.store_errors():
        found = clients().filter(pk=client.pk, auth_method=CLIENT_SECRET)
        if not found.update(secret_hash=hash_of(secret), disabled_at=None):
            raise ValueError("auth_method: a client that has no secret cannot get another one.")
    return secret


def usable_grants(client: ServiceClient) -> list[str]:
    """Return the grant types that a client with these other fields can use."""
    grants = [AUTHORIZATION_CODE, REFRESH_TOKEN] if client.redirect_uris else []
    calls_for_itself = client.may_call or (client.resources and not client.redirect_uris)
    if calls_for_itself and client.auth_method != NONE:
        grants.append(CLIENT_CREDENTIALS)
        if client.may_call and client.audience:
            grants.append(TOKEN_EXCHANGE)
    return grants


def _assign(client: ServiceClient, values: Mapping[str, Any]) -> None:
    """Set fields as the row has them: a list without doubles or None, a scope with single spaces."""
    for field, value in values.items():
        if field in LISTS:
            value = _texts(value) or None
        elif field == "scope":
            value = " ".join(dict.fromkeys(value.split() if isinstance(value, str) else value))
        elif field == "name":
            value = clean_text(value, 1000).strip()
        elif field == "jwks" and value is not None:
            value = dict(value) if isinstance(value, Mapping) else value
        setattr(client, field, value)
    if client.grant_types:
        client.grant_types = [SHORT_NAMES.get(grant, grant) for grant in client.grant_types]
    if client.may_call:
        client.may_call = _ids_of(client.may_call)


def _texts(values: Any) -> list[str]:
    """Return a list of different texts; a text alone is one, not a list of its letters."""
    return list(dict.fromkeys([values] if isinstance(values, str) else values or ()))


def _ids_of(names: list[str]) -> list[str]:
    """Return the ids of the clients that ``names`` names by id or by audience; what names none, as it is."""
    texts = [name for name in names if isinstance(name, str) and name not in conf.AUDIENCE]
    # An id first: whoever takes it for an audience must not be called in the other's place.
    named = [name for name in texts if find_client(name) is None]
    by_audience = {row.audience: row.client_id for row in with_audience(*named)}
    return list(dict.fromkeys(by_audience.get(name, name) for name in names))


def _check(client: ServiceClient) -> None:
    """Raise ClientInvalid with every problem of a client about to be saved."""
    if problems := problems_of(client):
        raise ClientInvalid(problems)
