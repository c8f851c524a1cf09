"""The lock that keeps a client enabled while a session is opened for it."""

from __future__ import annotations

from django.db import connections

from authx.errors import OAuthError
from authx.models import ServiceClient
from authx.store import database


def lock_enabled(client: ServiceClient) -> None:
    """Keep the client from being disabled until the transaction ends: whoever does that ends its sessions.

    Raises:
        OAuthError: ``invalid_client``: it is disabled, so the transaction must be rolled back.
    """
    weaker = connections[database.alias()].features.has_select_for_no_key_update
    rows = ServiceClient.objects.using(database.alias()).filter(pk=client.pk, disabled_at=None)
    if rows.select_for_update(no_key=weaker).values_list("pk").first() is None:
        raise OAuthError("invalid_client", "client authentication failed", rule="T2")
