"""Logouts are open to everybody, whatever else a site demands a login for."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string

from authx.http import renewal
from authx.logins.browser import browser_session
from authx.store.after_transaction import request_under_way


def is_view_looked_at(*, behind: type) -> bool:
    """Return whether a middleware that stands behind that class in MIDDLEWARE looks at a request's view.

    As LoginRequiredMiddleware does. Only of Django's own classes it is known that they do not: an object of a
    site's class may have a ``process_view`` that its class has not.
    """
    kinds = [import_string(path) for path in settings.MIDDLEWARE]
    places = [
        place for place, kind in enumerate(kinds) if isinstance(kind, type) and issubclass(kind, behind)
    ]
    after = kinds[places[0] + 1 :] if places else kinds
    return any(not kind.__module__.startswith("django.") or hasattr(kind, "process_view") for kind in after)


class _UnlessPosted:
    """Whether a view demands a login, for each request anew: not where a form is sent to it."""

    def __bool__(self) -> bool:
        request = request_under_way()
        return request is None or request.method != "POST"


def open_logout(request: HttpRequest, view: Any, *args: Any) -> None:
    """Let everybody reach a logout of Django's; call it before LoginRequiredMiddleware looks at the view.

    That would send whoever signs out of a session that has ended to a login, and from there to a page that
    takes no GET. What a site's own logout shows to a GET stays behind the login.
    """
    demands_login = getattr(view, "login_required", True) is True
    if demands_login and request.method == "POST" and renewal.is_logout(request):
        view.login_required = _UnlessPosted()


async def aopen_logout(request: HttpRequest, view: Any, *args: Any) -> None:
    """Do the same in an asynchronous site, without changing threads."""
    open_logout(request, view)


def is_anybody(request: HttpRequest) -> bool:
    """Return whether somebody is signed in here, or has left cookies of a session that has not ended.

    Raises:
        StoreUnavailable: that cannot be known.
    """
    user: Any = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return True
    session = browser_session(request)
    return session is not None and session.ended_at is None
