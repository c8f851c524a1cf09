"""Consents that are remembered: what a user has allowed a client before."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from itertools import product
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import IntegrityError

from authx.core.oauth_client import ClientFacts
from authx.core.scopes import intersection, join_scope
from authx.models import Consent, ServiceClient
from authx.sessions.client_facts import facts_of
from authx.store import database
from authx.store.compiled import Compiled, Parameter


def _remembered(alias: str) -> Any:
    key, client_key = get_user_model()._meta.pk, ServiceClient._meta.pk
    found = Consent.objects.using(alias).filter(
        user=Parameter("user", key), client=Parameter("client", client_key)
    )
    return found.order_by().values_list("scope", "resources")


#: Compiled once: it stands in the way of every page that asks for a consent.
_REMEMBERED: Final = Compiled(_remembered)

#: Scopes, and the resources for which they are allowed.
_Allowed = tuple[tuple[str, ...], tuple[str, ...]]


def has_consented(user: Any, client: ServiceClient, scope: Iterable[str], resources: Iterable[str]) -> bool:
    """Return whether the user has allowed the client all of this before. One statement.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with database.store_errors():
        connection = database.current_connection()
        keys = {"user": user._meta.pk.get_db_prep_value(user.pk, connection), "client": client.pk}
        found = _REMEMBERED.first(keys)
    return found is not None and set(scope) <= set(found[0].split()) and set(resources) <= set(found[1])


def remember_consent(
    user: Any,
    client: ServiceClient,
    scope: Iterable[str],
    resources: Iterable[str],
    *,
    now: datetime | None = None,
) -> None:
    """Remember that the user has allowed the client this, beside what was allowed before.

    Beside it only where scopes and resources together then say no more than what was allowed: whoever let a
    client read here and write there has not let it write here. Otherwise what is new takes the place.

    Raises:
        StoreUnavailable: the database cannot be written; nothing is remembered.
    """
    if has_consented(user, client, scope, resources):
        return
    at = now or database.database_now()

    def write() -> None:
        before = _of(user, client).first()
        old = _still_allowed(before, facts_of(client)) if before else ((), ())
        scopes, uris = _united(old, (tuple(scope), tuple(resources)))
        columns = {"scope": join_scope(scopes), "resources": list(uris), "at": at}
        if before is None:
            Consent.objects.using(database.alias()).create(user=user, client=client, **columns)
        else:
            _of(user, client).update(**columns)

    with suppress(IntegrityError):  # the same form, sent twice: the other one has written it
        database.transact(write)


def _still_allowed(consent: Consent, client: ClientFacts) -> _Allowed:
    """Return what was allowed, without what the client has lost: as much as it may have, and no more."""
    scopes = intersection(consent.scope.split(), client.scope)
    return scopes, intersection(consent.resources, client.resources)


def _united(before: _Allowed, new: _Allowed) -> _Allowed:
    """Return both as one, or ``new`` where one could not tell them apart from more than they are."""
    scopes, resources = (tuple(dict.fromkeys((*a, *b))) for a, b in zip(before, new, strict=True))
    united = scopes, resources
    return united if _pairs(united) == _pairs(before) | _pairs(new) else new


def _pairs(allowed: _Allowed) -> set[tuple[str, str]]:
    """Return what is allowed where; to know who the user is needs no scope, which "" stands for."""
    scopes, resources = allowed
    return set(product(("", *scopes), resources))


def _of(user: Any, client: ServiceClient) -> Any:
    return Consent.objects.using(database.alias()).filter(user=user, client=client)
