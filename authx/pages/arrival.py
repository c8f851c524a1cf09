"""Where visitors arrive: after a login, and with a link to a page that takes nothing but a form."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.conf import settings
from django.contrib.auth.views import RedirectURLMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.views.decorators.http import require_http_methods

from authx.http.confirmation import is_safe_for
from authx.http.renewal import is_logout_view
from authx.pages.other_login_page import view_of

View = TypeVar("View", bound=Callable[..., HttpResponse])


class Arrival(RedirectURLMixin):
    """Leads on from a page that asks who somebody is: to ``next``, or else where the site says."""

    request: HttpRequest

    def get_redirect_url(self, *args: Any) -> str:
        """Return ``next`` if it is of this host, and no logout: nobody has signed in to arrive there."""
        wanted: str = super().get_redirect_url(*args) or self._long()
        return "" if wanted and is_logout_view(view_of(wanted, self.request)) else wanted

    def _long(self) -> str:
        """Return a ``next`` that is too long for Django, and leads to this host all the same."""
        name, request = self.redirect_field_name, self.request
        wanted = request.POST.get(name, request.GET.get(name, ""))
        hosts = self.get_success_url_allowed_hosts()
        is_safe = bool(wanted) and is_safe_for(wanted, hosts, require_https=request.is_secure())
        return wanted if is_safe else ""

    def get_default_redirect_url(self) -> str:
        return resolve_url(self.next_page) if self.next_page else after_login(self.request)


def after_login(request: HttpRequest) -> str:
    """Return LOGIN_REDIRECT_URL; "your devices" if it is not set, and its default is no page of the site."""
    known: Any = settings
    page: str = known.LOGIN_REDIRECT_URL
    if known.is_overridden("LOGIN_REDIRECT_URL") or view_of(page, request) is not None:
        return resolve_url(page)
    return devices_or_home()


def devices_or_home() -> str:
    """Return the URL of "your devices"; the root of a site that does not include that page."""
    try:
        return reverse("authx:devices")
    except NoReverseMatch:
        return get_script_prefix()


def only_posted(view: View) -> View:
    """Take forms alone; lead a link, such as a login follows after a late form, to "your devices"."""

    @require_http_methods(["GET", "HEAD", "POST"])
    @wraps(view)
    def decorated(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs) if request.method == "POST" else redirect(devices_or_home())

    return cast("View", decorated)
