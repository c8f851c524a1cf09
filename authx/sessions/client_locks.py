"""The lock that keeps a client enabled while a session is opened for it."""

from __future__ import annotations

from typing import Any, Final

from django.db import connections

from authx.errors import OAuthError
from authx.models import ServiceClient
from authx.store.compiled import Compiled, Given


def _enabled(alias: str) -> Any:
    weaker = connections[alias].features.has_select_for_no_key_update
    rows = ServiceClient.objects.using(alias).filter(client_id=Given("client_id"), disabled_at=None)
    return rows.select_for_update(no_key=weaker).order_by().values_list("pk")


_ENABLED: Final = Compiled(_enabled)


def lock_enabled(client: ServiceClient) -> None:
    """Keep the client from being disabled until the transaction ends: whoever does that ends its sessions.

    Raises:
        OAuthError: ``invalid_client``: it is disabled, so the transaction must be rolled back.
    """
    if _ENABLED.first({"client_id": client.client_id}) is None:
        raise OAuthError("invalid_client", "client authentication failed", rule="T2")
