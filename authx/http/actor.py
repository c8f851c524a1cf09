"""The actor of an event, built from a request."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from authx.core.actor import Actor
from authx.core.device import MAX_USER_AGENT_LENGTH, clean_text
from authx.http.client_address import client_ip


def actor_of(request: Any, user: Any = None) -> Actor:
    """Return ``user``, at the address and with the user agent that a Django or DRF request comes from.

    An anonymous or unsaved user is left out, and so is the place where ``request`` is None or anything else.
    """
    known = user if getattr(user, "pk", None) is not None else None
    request = getattr(request, "_request", request)
    if not isinstance(request, HttpRequest):
        return Actor(known)
    return Actor(known, client_ip(request), user_agent_of(request))


def user_agent_of(request: HttpRequest) -> str:
    """Return the User-Agent header, safe to store and print, at most MAX_USER_AGENT_LENGTH characters."""
    return clean_text(request.META.get("HTTP_USER_AGENT", ""), MAX_USER_AGENT_LENGTH)
