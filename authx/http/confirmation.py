"""The way to the page that asks for the password again, for doors that may not import one another."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.http import escape_leading_slashes, url_has_allowed_host_and_scheme

#: Characters of a URL of ours; Django redirects to no longer one.
_LONGEST = 16_384


def to_confirmation(wanted: str) -> HttpResponseRedirect | None:
    """Redirect to ``confirm/``, which leads back to ``wanted``; None where our pages are not included."""
    try:
        page = reverse("authx:confirm")
    except NoReverseMatch:
        return None
    return HttpResponseRedirect(f"{page}?{urlencode({REDIRECT_FIELD_NAME: wanted}, safe='/')}")


def page_of(request: HttpRequest) -> str:
    """Return the URL to lead back to: the request's own; for a form that was sent, that of its page.

    A form's data is not kept: what needs a confirmation is done by a person who has just confirmed, not by a
    request that lay waiting. Without a Referer of this host the request's own URL stands in.
    """
    if request.method in {"GET", "HEAD"}:
        return request.get_full_path()
    came_from = request.headers.get("Referer", "")
    if came_from and is_safe(request, came_from):
        parts = urlsplit(came_from)
        path = escape_leading_slashes(parts.path or "/")
        return f"{path}?{parts.query}" if parts.query else path
    return request.get_full_path()


def is_safe(request: HttpRequest, url: str) -> bool:
    """Return whether ``url`` is one of this host, and does not leave https."""
    return is_safe_for(url, {request.get_host()}, require_https=request.is_secure())


def is_safe_for(url: str, hosts: set[str], *, require_https: bool) -> bool:
    """Return whether ``url`` leads to one of ``hosts``, also if its query is longer than Django looks at.

    A request of an OAuth client is, whose ``state`` may be a record.
    """
    place, mark, query = url.partition("?")
    is_plain = len(url) <= _LONGEST and query.isascii() and query.isprintable()
    judged = place if mark and is_plain else url  # the query does not decide where a URL leads
    return url_has_allowed_host_and_scheme(judged, hosts, require_https=require_https)
