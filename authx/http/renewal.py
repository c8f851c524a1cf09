"""When a request may renew its session silently."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest
from django.urls import Resolver404, ResolverMatch, resolve

from authx.conf import conf

View = TypeVar("View", bound=Callable[..., Any])


#: Where a page may be loaded to be looked at (Sec-Fetch-Dest).
_FRAMES = frozenset({"iframe", "frame"})
_PLACES = _FRAMES | {None, "document"}

#: At the start, or after the comma by which servers join two headers of one name.
_BEARER = re.compile(r"(?:^|,)\s*bearer(?![0-9a-z])", re.IGNORECASE)


def never_renew(view: View) -> View:
    """Mark a view that reads the refresh cookie itself, so that the middleware leaves it alone."""
    view.authx_never_renew = True  # type: ignore[attr-defined]
    return view


def may_renew(request: HttpRequest) -> bool:
    """Return whether to renew: not for prefetches, other sites' subresources or views that do so."""
    headers = request.headers
    speculative = " ".join(headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz"))
    if request.method == "OPTIONS" or "prefetch" in speculative or "prerender" in speculative:
        return False
    if headers.get("Sec-Fetch-Site") == "cross-site" and not is_navigation(request):
        return False
    return not _renews_itself(request)


def is_navigation(request: HttpRequest) -> bool:
    """Return whether a browser is navigating to this page, according to its headers (Fetch Metadata).

    In a frame only where our cookies go into frames of other sites: elsewhere that is the background.
    """
    mode, destination = request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest")
    if mode is None:
        return "text/html" in request.headers.get("Accept", "")
    places = _PLACES if conf.COOKIE_SAMESITE == "None" else _PLACES - _FRAMES
    return mode == "navigate" and destination in places


def is_admin_logout(request: HttpRequest) -> bool:
    """Return whether the request goes to the ``logout`` method of an admin site, which does nothing else."""
    match = _match(request)
    return match is not None and _is_admin_logout_view(match.func)


def is_logout(request: HttpRequest) -> bool:
    """Return whether the request goes to a logout of Django's: its view, or an admin site's."""
    match = _match(request)
    return match is not None and is_logout_view(match.func)


def is_login_page(request: HttpRequest) -> bool:
    """Return whether the request goes to a Django ``LoginView``, ours included, an admin's, or LOGIN_URL."""
    match = _match(request)
    if match is None:
        return False
    if _takes_login_form(match.func, match.app_name, match.url_name):
        return True
    return str(_login_url()) in (request.path, match.view_name)


def is_login_form(request: HttpRequest) -> bool:
    """Return whether the request sends a form to a Django ``LoginView``, ours included, or an admin's."""
    match = _match(request) if request.method == "POST" else None
    return match is not None and _takes_login_form(match.func, match.app_name, match.url_name)


def is_admin_login(request: HttpRequest) -> bool:
    """Return whether the request goes to the login page of an admin site, whatever its name."""
    match = _match(request)
    return match is not None and _is_of_admin(match.app_name, match.url_name)


@cache
def _login_url() -> Any:
    return settings.LOGIN_URL  # Django takes a microsecond for a setting; a lazy one is evaluated each time


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "LOGIN_URL":
        _login_url.cache_clear()


setting_changed.connect(_forget)


@lru_cache(maxsize=1024)  # asked after every page: one class of views is compared with another
def _takes_login_form(view: Any, app: str, name: str | None) -> bool:
    from django.contrib.auth.views import LoginView  # as below

    return issubclass(getattr(view, "view_class", object), LoginView) or _is_of_admin(app, name)


def _is_of_admin(app: str, name: str | None) -> bool:
    return (app, name) == ("admin", "login")


def is_api_view(request: HttpRequest) -> bool:
    """Return whether the request goes to a DRF view, whose errors are JSON."""
    match = _match(request)
    return match is not None and hasattr(match.func, "cls")


def is_async_view(request: HttpRequest) -> bool:
    """Return whether the request goes to an asynchronous view."""
    match = _match(request)
    return match is not None and iscoroutinefunction(match.func)


def _renews_itself(request: HttpRequest) -> bool:
    """Return whether the view is marked, or is a Django logout, where a stale tab must not count as theft."""
    match = _match(request)
    if match is None:
        return False
    return getattr(match.func, "authx_never_renew", False) or is_logout_view(match.func)


def is_logout_view(view: Any) -> bool:
    """Return whether this is a logout of Django's, as a URLconf names it: its view, or an admin site's."""
    from django.contrib.auth.views import LogoutView, logout_then_login  # needs the user model: not at import

    if issubclass(getattr(view, "view_class", object), LogoutView) or _is_admin_logout_view(view):
        return True
    return bool(getattr(view, "__wrapped__", view) is logout_then_login)


def _is_admin_logout_view(view: Any) -> bool:
    site = getattr(view, "admin_site", None)
    return site is not None and bool(getattr(view, "__wrapped__", None) == site.logout)


def _match(request: HttpRequest) -> ResolverMatch | None:
    try:
        return request.resolver_match or resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return None


def has_bearer(request: HttpRequest) -> bool:
    """Return whether the request uses the Bearer scheme, well-formed or not (RFC 6750 §2.1)."""
    authorization: str | None = request.META.get("HTTP_AUTHORIZATION")
    return authorization is not None and names_bearer(authorization)


def names_bearer(authorization: str) -> bool:
    """Return whether an Authorization header, or several that a server has joined, names that scheme."""
    return authorization.startswith("Bearer ") or _BEARER.search(authorization) is not None
