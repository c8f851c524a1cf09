"""Consents that are remembered: what a user has allowed a client before."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import IntegrityError, connections

from authx.core.scopes import join_scope, parse_scope
from authx.models import Consent, ServiceClient
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


def has_consented(user: Any, client: ServiceClient, scope: Iterable[str], resources: Iterable[str]) -> bool:
    """Return whether the user has allowed the client all of this before. One statement.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with database.store_errors():
        connection = connections[database.alias()]
        keys = {"user": user._meta.pk.get_db_prep_value(user.pk, connection), "client": client.pk}
        found = _REMEMBERED.first(keys)
    return found is not None and set(scope) <= set(parse_scope(found[0])) and set(resources) <= set(found[1])


def remember_consent(
    user: Any,
    client: ServiceClient,
    scope: Iterable[str],
    resources: Iterable[str],
    *,
    now: datetime | None = None,
) -> None:
    """Remember that the user has allowed the client this, beside what was allowed before.

    Raises:
        StoreUnavailable: the database cannot be written; nothing is remembered.
    """
    if has_consented(user, client, scope, resources):
        return
    at = now or database.database_now()

    def write() -> None:
        before = _of(user, client).first()
        columns = {
            "scope": join_scope(_united(parse_scope(before.scope) if before else (), scope)),
            "resources": list(_united(before.resources if before else (), resources)),
            "at": at,
        }
        if before is None:
            Consent.objects.using(database.alias()).create(user=user, client=client, **columns)
        else:
            _of(user, client).update(**columns)

    with suppress(IntegrityError):  # the same form, sent twice: the other one has written it
        database.transact(write)


def _united(before: Iterable[str], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, *new)))


def _of(user: Any, client: ServiceClient) -> Any:
    return Consent.objects.using(database.alias()).filter(user=user, client=client)
