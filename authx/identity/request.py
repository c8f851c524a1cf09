"""What the middleware adds to a request: ``user``, ``auser`` and ``device_session``, looked up when used."""

from __future__ import annotations

from functools import cache
from typing import Any

from asgiref.sync import sync_to_async
from django.utils.functional import SimpleLazyObject, cached_property

from authx.identity.identity import Identity
from authx.identity.visit import Visit
from authx.models import DeviceSession


def identify_lazily(request: Any) -> None:
    """Set ``user`` and ``auser``, and give the request the property ``device_session``."""

    def settle() -> Any:
        return request.authx_visit.settle().user

    async def auser() -> Any:
        """Return the same as ``request.user``, also where other code has set that meanwhile."""
        user = request.user
        return await sync_to_async(settle)() if user is lazy_user else user

    lazy_user = SimpleLazyObject(settle)
    kind: Any = type(request)
    request.__class__ = with_device_session(kind)
    request.user, request.auser = lazy_user, auser


class _Identified:
    """Extends a class of requests."""

    @cached_property
    def authx_visit(self: Any) -> Visit:
        """Return nobody's visit, where the middleware has begun none: the API identifies the request."""
        return Visit(self, Identity())

    @property
    def device_session(self) -> DeviceSession | None:
        """Return the device session, or None; reading it first costs a query."""
        return self.authx_visit.settle().session


@cache
def with_device_session(kind: Any) -> Any:
    """Return ``kind``, a class of requests, with what every request has here; made once."""
    return type(kind.__name__, (_Identified, kind), {})
