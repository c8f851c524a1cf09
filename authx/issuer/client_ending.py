"""Disabling a client: it is refused at once, and its sessions end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from authx.core.actor import NOBODY
from authx.core.reasons import EndReason
from authx.issuer.client_lookup import clients
from authx.models import DeviceSession, ServiceClient
from authx.sessions.ending import Ending, end_together
from authx.sessions.ports import actor_of
from authx.store import database


def disable_client(
    client: ServiceClient, by: Any = None, *, request: Any = None, now: datetime | None = None
) -> int:
    """Refuse the client from now on, and end its sessions; return how many ended.

    It is refused everywhere by the first write, and gets no further token of any kind. Its sessions end in
    transactions of a few hundred, as ``kicked``: an administrator has ended them. If that is interrupted,
    disabling it again or ``authx_prune`` finishes it. ``by`` is a user, or the ``Actor`` that a door has
    built.

    Raises:
        StoreUnavailable: the database cannot be written; the client may have been disabled, with some of its
            sessions.
    """
    with database.store_errors():
        at = now or database.database_now()
        database.transact(lambda: clients().filter(pk=client.pk, disabled_at=None).update(disabled_at=at))
    ending = Ending.of(EndReason.KICKED, actor_of(request, by), f"{client.name} was disabled", at)
    return sum(end_sessions_of(client.client_id, ending))


def enable_client(client: ServiceClient) -> None:
    """Let a disabled client in again, with the secret or keys that it has; its sessions stay ended."""
    with database.store_errors():
        clients().filter(pk=client.pk).update(disabled_at=None)


def end_sessions_of_disabled(batch: int, *, now: datetime | None = None) -> Iterator[int]:
    """End what disabling was interrupted before; yield how many each time."""
    with database.store_errors():
        disabled = list(clients().exclude(disabled_at=None))
    for client in disabled:
        ending = Ending.of(EndReason.KICKED, NOBODY, f"{client.name} was disabled", now)
        yield from end_sessions_of(client.client_id, ending, batch)


def end_sessions_of(
    client_id: str, ending: Ending, batch: int = database.ROWS_PER_TRANSACTION
) -> Iterator[int]:
    """End the live sessions of a client, a few statements per ``batch``; yield how many each time."""
    live = DeviceSession.objects.using(database.alias()).filter(client_id=client_id).live(ending.at)
    yield from end_together(live, ending, batch)
