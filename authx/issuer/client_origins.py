"""Origins whose scripts may read what clients read (CORS)."""

from __future__ import annotations

from authx.errors import StoreUnavailable
from authx.models import ServiceClient
from authx.store import database


def is_registered_origin(origin: str) -> bool:
    """Return whether any enabled client names this origin, exactly. One statement.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with database.store_errors():
        enabled = ServiceClient.objects.using(database.alias()).filter(disabled_at=None)
        named = enabled.filter(origins__isnull=False).values_list("origins", flat=True)
        return any(origin in (origins or ()) for origins in named)


def may_read(origin: str) -> bool:
    """Return the same, for what is answered without the database too: False while that cannot be read."""
    try:
        return is_registered_origin(origin)
    except StoreUnavailable:
        return False
