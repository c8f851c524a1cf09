"""The port by which the public functions reach the web, which nothing here knows; AppConfig fills it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from authx.core.actor import Actor
from authx.gate.ports import Port

if TYPE_CHECKING:
    from authx.models import DeviceSession

#: Builds the actor from a request and a user; each may be None.
request_actor: Port[Callable[[Any, Any], Actor]] = Port("builder of the actor of a request")

#: Says which door a request comes through: ``api``, ``pages``, or ``code`` where there is no request.
request_door: Port[Callable[[Any], str]] = Port("name of the door of a request")

#: Returns what is to be called with the sessions that staff have ended in one act, all of a user's at once,
#: after its last commit; None where nobody wants to know: then they are not read for it.
kick_listener: Port[Callable[[], Callable[[Collection[DeviceSession]], None] | None]] = Port(
    "listener to kicks"
)


def actor_of(request: Any, by: Any = None) -> Actor:
    """Return ``by`` if it is an actor, which a door has built; else the one of that user and ``request``."""
    return by if isinstance(by, Actor) else request_actor.provider(request, by)
