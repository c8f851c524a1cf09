"""The same as ``authx.pages.decorators``, for class-based views."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from authx.pages.step_up import checked_max_age, demand_recent


class RecentlyAuthenticatedMixin:
    """Does what ``recently_authenticated(max_age)`` does; stands first among the bases of a view."""

    #: How long ago the visitor may have proved who they are.
    max_age: timedelta | None = None

    def get_max_age(self) -> timedelta:
        """Return ``max_age``; override it where that depends on the request.

        Raises:
            ImproperlyConfigured: it is not set.
        """
        if self.max_age is None:
            raise ImproperlyConfigured(f"{type(self).__name__} needs a max_age.")
        return self.max_age

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        max_age = checked_max_age(self.get_max_age())
        inner: Any = super()
        if getattr(self, "view_is_async", False):

            async def asynchronous() -> Any:
                refusal = await sync_to_async(demand_recent)(request, max_age)
                return refusal or await inner.dispatch(request, *args, **kwargs)

            return asynchronous()
        return demand_recent(request, max_age) or inner.dispatch(request, *args, **kwargs)
