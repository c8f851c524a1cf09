"""The requests that API views receive from a caller with a token, for their annotations.

No request is an instance of these. The type in brackets is the site's user model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from django.http import HttpRequest
from rest_framework.request import Request

from authx.core.claims import AccessClaims

UserT = TypeVar("UserT")


class CallerRequest(Request, Generic[UserT]):
    """In a view of DRF whose callers one of our classes has let in: ``CallerRequest[User]``."""

    user: UserT  # type: ignore[assignment]
    auth: AccessClaims


class BearerRequest(HttpRequest, Generic[UserT]):
    """In a view of Django behind ``bearer_required``: ``BearerRequest[User]``."""

    user: UserT  # type: ignore[assignment]
    auser: Callable[[], Awaitable[UserT]]  # type: ignore[assignment]
    auth: AccessClaims
