"""Logouts are open to everybody, whatever else a site demands a login for."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest

from authx.http import renewal


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
