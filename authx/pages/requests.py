"""The requests that views of a site receive, for their annotations: our middleware adds to Django's own.

No request is an instance of these. The type in brackets is the site's user model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from django.http import HttpRequest

from authx.models import DeviceSession

UserT = TypeVar("UserT")


class DeviceSessionRequest(HttpRequest):
    """A request behind ``DeviceSessionMiddleware``: of somebody signed in, or of an anonymous visitor."""

    #: None for an anonymous visitor, and for a login that is bound to no device session.
    device_session: DeviceSession | None


class AuthenticatedRequest(DeviceSessionRequest, Generic[UserT]):
    """The same in a view behind ``login_required``: ``AuthenticatedRequest[User]``."""

    user: UserT  # type: ignore[assignment]
    auser: Callable[[], Awaitable[UserT]]  # type: ignore[assignment]
