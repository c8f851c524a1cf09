"""The pages of the authorization endpoint, and what all of them tell the browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.templatetags.static import static
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.authorization import AuthorizationRequest
from authx.core.user_model import username_of
from authx.http.caching import never_cache
from authx.models import ServiceClient

View = TypeVar("View", bound=Callable[..., Any])


def guarded(view: View) -> View:
    """Keep every answer out of frames, of caches and of the next site's Referer (RFC 9700 §4.2.4, §4.16)."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = view(request, *args, **kwargs)
        never_cache(response)
        response["X-Frame-Options"] = "DENY"
        response["Referrer-Policy"] = "no-referrer"
        response["Content-Security-Policy"] = _policy()
        return response

    return cast("View", wrapped)


def _policy() -> str:
    """Return a policy for our pages: the site's own files and those where its static ones are."""
    parts = urlsplit(static("authx/authx.css"))
    sources = f"'self' {parts.scheme}://{parts.netloc}" if parts.netloc else "'self'"
    forbidden = "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    return f"default-src {sources}; form-action 'self'; {forbidden}"


def consent(
    request: HttpRequest, client: ServiceClient, asked: AuthorizationRequest, *, back: str
) -> HttpResponse:
    """Ask whether the client may do what it asks for."""
    context = {
        "client": client,
        "place": _place_of(asked.redirect_uri),
        "scopes": list(_texts_of(asked)),
        "resources": asked.resources,
        "username": username_of(request.user),
        "back": back,
    }
    return render(request, "authx/oauth/consent.html", context)


@sensitive_variables()
def leading_on(request: HttpRequest, client: ServiceClient | None, uri: str) -> HttpResponse:
    """Lead on to the client by ``<meta http-equiv="refresh">``, without JavaScript, and by a link."""
    context = {"client": client, "uri": uri, "place": _place_of(uri)}
    return render(request, "authx/oauth/leading_on.html", context)


def refused(request: HttpRequest, error: str, description: str) -> HttpResponse:
    """Say that a link of a client is wrong; nobody is sent to where it leads."""
    context = {"error": error, "description": description}
    return render(request, "authx/oauth/refused.html", context, status=400)


def cannot_consent(request: HttpRequest, client: ServiceClient) -> HttpResponse:
    """Say that this sign-in is none that can allow anything to apps."""
    return render(request, "authx/oauth/cannot_consent.html", {"client": client}, status=403)


@sensitive_variables()
def _place_of(uri: str) -> str:
    """Return what a person can recognize of where they are sent: the host, or an app's own scheme."""
    parts = urlsplit(uri)
    return parts.netloc or f"{parts.scheme}:"


def _texts_of(asked: AuthorizationRequest) -> Iterator[tuple[str, str]]:
    for scope in asked.scope:
        yield scope, str(conf.SCOPES[scope])
