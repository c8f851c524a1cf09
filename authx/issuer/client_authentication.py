"""Who a client is: by a secret, by an assertion signed with its key, or by its id alone if it is public."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Final, NoReturn

from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.client_assertion import AssertionClaims, read_client_assertion, unverified_issuer
from authx.core.oauth_client import CLIENT_SECRET, NONE, PRIVATE_KEY_JWT
from authx.errors import OAuthError
from authx.issuer.client_keys import keys_of, nobodys_keys
from authx.issuer.client_lookup import find_client
from authx.issuer.client_secrets import hash_of
from authx.models import ServiceClient
from authx.sessions.single_use import use_up
from authx.store import database

logger = logging.getLogger("authx")

#: Compared with where a client has no secret, so that this takes as long as a wrong one.
_NOBODYS_HASH: Final = hash_of("")


@sensitive_variables()
def authenticate_client(
    client_id: str,
    *,
    secret: str | None = None,
    assertion: str | None = None,
    audiences: Collection[str] = (),
    now: datetime | None = None,
    find: Callable[[str], ServiceClient | None] = find_client,
) -> ServiceClient:
    """Return the enabled client that has proved who it is by the method it is registered for.

    A public client has nothing to prove, and is refused with a secret. An empty secret is none (RFC 6749
    §2.3.1). ``assertion`` must be addressed to one of ``audiences``, the issuer and the token endpoint's URL,
    and is good once; the client that signed it need not be named beside it (RFC 7521 §4.2).
    ``find`` finds the client with exactly this id as ``find_client`` does, whatever else it reads.

    Raises:
        OAuthError: ``invalid_client``, in the same words and after the same time whether the client is
            unknown, disabled, registered for another method, or has proved nothing.
        StoreUnavailable: the database cannot be asked, or the keys at its ``jwks_uri`` cannot be fetched.
    """
    if secret and assertion:
        refuse()  # one method per request (RFC 6749 §2.3)
    if assertion:
        return _by_assertion(client_id, assertion, audiences, now or timezone.now(), find)
    found = find(client_id)
    is_known_secret = constant_time_compare(
        hash_of(secret or ""), found.secret_hash if found and found.secret_hash else _NOBODYS_HASH
    )
    is_proved = is_known_secret if secret else True
    if found is None or not is_proved or not is_for(found, CLIENT_SECRET if secret else NONE):
        refuse()
    return found


def is_for(client: ServiceClient, auth_method: str) -> bool:
    """Return whether the client is enabled, and proves who it is by this method."""
    return client.disabled_at is None and client.auth_method == auth_method


def refuse() -> NoReturn:
    """Refuse a client without a word about why."""
    raise OAuthError("invalid_client", "client authentication failed", rule="T2")


@sensitive_variables("assertion")
def _by_assertion(
    client_id: str,
    assertion: str,
    audiences: Collection[str],
    at: datetime,
    find: Callable[[str], ServiceClient | None],
) -> ServiceClient:
    claimed = client_id or unverified_issuer(assertion) or ""
    found = find(claimed)
    # Without a key of its own the signature is checked all the same: an unknown client takes as long.
    has_keys = found is not None and is_for(found, PRIVATE_KEY_JWT)
    jwks = keys_of(found, assertion) if found is not None and has_keys else nobodys_keys()
    leeway = conf.CLOCK_LEEWAY
    try:
        claims = read_client_assertion(
            assertion, jwks, client_id=claimed, audiences=audiences, now=at, leeway=leeway
        )
    except OAuthError as error:
        if found is not None:
            logger.info("Client %s was refused: %s.", found.client_id, error.description)
        refuse()
    if found is None or not has_keys or not _is_first_use(found, claims):
        refuse()
    return found


def _is_first_use(client: ServiceClient, claims: AssertionClaims) -> bool:
    """Use the assertion up, after everything else about it has been checked: a forged one spends nothing."""
    spent = f"client assertion\n{client.client_id}\n{claims.jti}"
    name = sha256(spent.encode()).hexdigest()[:32]
    return database.transact(partial(use_up, name, claims.expires_at + conf.CLOCK_LEEWAY))
