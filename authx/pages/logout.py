"""Logouts are open to everybody, whatever else a site demands a login for."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest

from authx.http import renewal
from authx.logins.browser import browser_session


def open_logout(request: HttpRequest, view: Any, *args: Any) -> None:
    """Let everybody reach a logout of Django's; call it before LoginRequiredMiddleware looks at the view.

    That would send whoever signs out of a session that has ended to a login, and from there to a page that
    takes no GET.
    """
    if request.method == "POST" and renewal.is_logout(request):
        login_not_required(view)


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
