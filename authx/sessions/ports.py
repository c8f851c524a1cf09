"""The port by which the public functions reach the web, which nothing here knows; AppConfig fills it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from authx.core.actor import Actor
from authx.gate.ports import Port

#: Builds the actor from a request and a user; each may be None.
request_actor: Port[Callable[[Any, Any], Actor]] = Port("builder of the actor of a request")


def actor_of(request: Any, by: Any = None) -> Actor:
    """Return ``by`` if it is an actor, which a door has built; else the one of that user and ``request``."""
    return by if isinstance(by, Actor) else request_actor.provider(request, by)
