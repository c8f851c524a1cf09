"""Consents that are remembered: what a user has allowed a client before."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import IntegrityError

from authx.core.scopes import join_scope
from authx.models import Consent, ServiceClient
from authx.store import database


def has_consented(user: Any, client: ServiceClient, scope: Iterable[str], resources: Iterable[str]) -> bool:
    """Return whether the user has allowed the client all of this before. One statement.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with database.store_errors():
        found = _of(user, client).values_list("scope", "resources").first()
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

    Raises:
        StoreUnavailable: the database cannot be written; nothing is remembered.
    """
    if has_consented(user, client, scope, resources):
        return
    at = now or database.database_now()

    def write() -> None:
        before = _of(user, client).first()
        columns = {
            "scope": join_scope(_united(before.scope.split() if before else (), scope)),
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
