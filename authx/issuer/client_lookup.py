"""Finding clients."""

from __future__ import annotations

from typing import Any, Final

from django.db import models

from authx.core.claim_forms import IDENTIFIER
from authx.core.oauth_client import is_client_id
from authx.models import ServiceClient
from authx.store import database
from authx.store.compiled import Compiled, Given, names_of


def _by_id(alias: str) -> Any:
    found = ServiceClient.objects.using(alias).filter(client_id=Given("client_id"))
    return found.order_by().values_list(*names_of(ServiceClient))


#: The statement of every request of a client.
_BY_ID: Final = Compiled(_by_id)


def find_client(client_id: Any) -> ServiceClient | None:
    """Return the client with exactly this id, enabled or not; None if there is none. One statement at most.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    if not is_client_id(client_id):
        return None
    with database.store_errors():
        row = _BY_ID.first({"client_id": client_id})
    found = None if row is None else ServiceClient.from_db(database.alias(), names_of(ServiceClient), row)
    # Compared again, because a database may take A and a for the same.
    return found if found is not None and found.client_id == client_id else None


def with_audience(*names: str) -> list[ServiceClient]:
    """Return the clients that are called by exactly one of ``names``, enabled or not. One statement at most.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    asked = [name for name in names if IDENTIFIER.fullmatch(name)]
    if not asked:
        return []
    with database.store_errors():
        # Compared again, because a database may take A and a for the same.
        return [found for found in clients().filter(audience__in=asked) if found.audience in asked]


def clients() -> models.QuerySet[ServiceClient]:
    """Return all clients, in the database that authx writes."""
    return ServiceClient.objects.using(database.alias())
