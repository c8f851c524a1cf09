"""When a request may renew its session silently."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest
from django.urls import Resolver404, ResolverMatch, resolve

View = TypeVar("View", bound=Callable[..., Any])


#: At the start, or after the comma by which servers join two headers of one name.
_BEARER = re.compile(r"(?:^|,)\s*bearer(?![0-9a-z])", re.IGNORECASE)


def never_renew(view: View) -> View:
    """Mark a view that reads the refresh cookie itself: the middleware leaves it to it."""
    view.authx_never_renew = True  # type: ignore[attr-defined]
    return view


def may_renew(request: HttpRequest) -> bool:
    """False for speculation, for other sites' subresources, and where the view sees to it itself."""
    headers = request.headers
    speculative = " ".join(headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz"))
    if request.method == "OPTIONS" or "prefetch" in speculative or "prerender" in speculative:
        return False
    if headers.get("Sec-Fetch-Site") == "cross-site" and not is_navigation(request):
        return False
    return not _renews_itself(request)


def is_navigation(request: HttpRequest) -> bool:
    """True if a person's browser is going to this page, as far as it says (Fetch Metadata)."""
    mode, destination = request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest")
    if mode is None:
        return "text/html" in request.headers.get("Accept", "")
    return mode == "navigate" and destination in {None, "document"}


def is_admin_logout(request: HttpRequest) -> bool:
    """True if the request goes to the ``logout`` method of an admin site, which does nothing else."""
    match = _match(request)
    if match is None or (site := getattr(match.func, "admin_site", None)) is None:
        return False
    return bool(getattr(match.func, "__wrapped__", None) == site.logout)


def is_api_view(request: HttpRequest) -> bool:
    """True if the request goes to a view of DRF, whose errors are JSON."""
    match = _match(request)
    return match is not None and hasattr(match.func, "cls")


def _renews_itself(request: HttpRequest) -> bool:
    """Marked views; and Django's logouts, which need no fresh token: a stale tab there is no thief."""
    match = _match(request)
    if match is None:
        return False
    if getattr(match.func, "authx_never_renew", False) or is_admin_logout(request):
        return True
    from django.contrib.auth.views import LogoutView  # asks for the user model, so not while apps load

    return issubclass(getattr(match.func, "view_class", object), LogoutView)


def _match(request: HttpRequest) -> ResolverMatch | None:
    try:
        return resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return None


def has_bearer(request: HttpRequest) -> bool:
    """True if the request speaks the Bearer scheme, well or badly (RFC 6750 §2.1)."""
    return _BEARER.search(request.META.get("HTTP_AUTHORIZATION", "")) is not None
