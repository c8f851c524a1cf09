"""A decorator for views that only somebody may use who proved lately who they are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async

from authx.pages.step_up import checked_max_age, demand_recent

View = TypeVar("View", bound=Callable[..., Any])


def recently_authenticated(max_age: timedelta) -> Callable[[View], View]:
    """Send visitors to confirm who they are, unless they did so within ``max_age``; sync and async views.

    A page comes back by itself after the confirmation. What a form has sent is not kept: its page comes back,
    with a message, and the user sends it again. Whoever is not signed in is sent to LOGIN_URL: a fresh login
    counts.

    Raises:
        ValueError: ``max_age`` is not a timedelta of a second or more.
    """
    checked_max_age(max_age)

    def decorate(view: View) -> View:
        if iscoroutinefunction(view):

            @wraps(view)
            async def asynchronous(request: Any, *args: Any, **kwargs: Any) -> Any:
                refusal = await sync_to_async(demand_recent)(request, max_age)
                return refusal or await view(request, *args, **kwargs)

            return cast("View", asynchronous)

        @wraps(view)
        def synchronous(request: Any, *args: Any, **kwargs: Any) -> Any:
            return demand_recent(request, max_age) or view(request, *args, **kwargs)

        return cast("View", synchronous)

    return decorate
