"""The site's own login page, LOGIN_URL, where ours takes no password or refuses one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.request import split_domain_port, validate_host
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, ResolverMatch, get_script_prefix, resolve, reverse
from django.utils.translation import get_language, get_language_from_path, override
from django.views.generic import RedirectView

from authx.http.caching import never_cache

#: How many of the site's own redirects are followed to see where LOGIN_URL leads.
_MAX_REDIRECTS = 5


class OurLoginPage:
    """Marks a view as authx's own login page."""


def to_other_login_page(request: HttpRequest, wanted: str) -> HttpResponseRedirect:
    """Redirect to LOGIN_URL, with ``wanted`` (where the visitor is going, validated already) as ``next``.

    Raises:
        Http404: LOGIN_URL is our own page, or leads to it; ``authx.E022`` reports that beforehand.
    """
    page = other_login_page(request, wanted)
    if page is None:
        raise Http404("AUTHX_PASSWORD_LOGIN is False, and LOGIN_URL leads nowhere else.")
    response = HttpResponseRedirect(page)
    never_cache(response)
    return response


def other_login_page(request: HttpRequest, wanted: str) -> str | None:
    """Return the URL of the site's own login page with ``next``; None if that is our page, or none."""
    try:
        page = resolve_url(settings.LOGIN_URL)
    except NoReverseMatch:
        return None
    if is_our_login_page(page, request):
        return None
    if not wanted or is_our_login_page(wanted, request):
        return page
    if urlsplit(page).netloc not in {"", request.get_host()}:
        wanted = request.build_absolute_uri(wanted)  # the other host has to lead back here
    return redirect_to_login(wanted, page).url


def is_our_login_page(url: str, request: HttpRequest | None = None) -> bool:
    """Return whether ``url`` is our login page, or one of the site's redirects to it."""
    for _hop in range(_MAX_REDIRECTS):
        view: Any = view_of(url, request)
        kind = getattr(view, "view_class", None)
        if kind is None or not issubclass(kind, RedirectView):
            return kind is not None and issubclass(kind, OurLoginPage)
        if not (url := _target(view.view_initkwargs)):
            return False
    return True


def view_of(url: str, request: HttpRequest | None) -> Any:
    """Return the view behind a URL of this site; None if the URL is another site's, or has no view."""
    parts = urlsplit(urljoin(request.path if request is not None else "/", url))
    if parts.netloc and not _is_this_site(parts.netloc, request):
        return None
    path, prefix = unquote(parts.path), get_script_prefix()
    if not path.startswith(prefix):
        return None
    path = f"/{path.removeprefix(prefix)}"
    tried = [path, f"{path}/"] if settings.APPEND_SLASH else [path]
    language = get_language_from_path(path)
    if language is None:  # LocaleMiddleware sends it to the page in the visitor's language
        tried += [f"/{get_language()}{each}" for each in tried]
    with override(language or get_language()):
        matches = (_resolved(each, request) for each in tried)
        return next((match.func for match in matches if match is not None), None)


def _resolved(path: str, request: HttpRequest | None) -> ResolverMatch | None:
    try:
        return resolve(path, getattr(request, "urlconf", None))
    except Resolver404:
        return None


def _is_this_site(netloc: str, request: HttpRequest | None) -> bool:
    host, _port = split_domain_port(netloc.rpartition("@")[2])
    named = [name for name in settings.ALLOWED_HOSTS if name != "*"]
    if request is not None:
        named.append(split_domain_port(request.get_host())[0])
    return bool(host) and validate_host(host, named)


def _target(options: Mapping[str, Any]) -> str:
    """Return where a RedirectView goes that takes nothing from its URL; ``""`` if that is unknown."""
    if options.get("url"):
        return str(options["url"])
    try:
        return reverse(options.get("pattern_name") or "")
    except NoReverseMatch:
        return ""
