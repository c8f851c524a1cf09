"""Answers that scripts of other origins may read (CORS); never with credentials of the browser."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

#: Whether scripts of an origin may read.
IsAllowed = Callable[[str], bool]


def allow(request: HttpRequest, response: HttpResponse, is_allowed: IsAllowed) -> None:
    """Let the script that asks read the response, if its origin may; asked only where a browser names one."""
    patch_vary_headers(response, ["Origin"])
    origin = request.headers.get("Origin")
    if origin is not None and is_allowed(origin):
        response["Access-Control-Allow-Origin"] = origin


def reader(request: HttpRequest, is_allowed: IsAllowed) -> IsAllowed:
    """Ask whether the script that asks may read, before what it will read is made; return the answer."""
    origin = request.headers.get("Origin")
    may_read = origin is not None and is_allowed(origin)
    return lambda asked: may_read and asked == origin


def preflight(request: HttpRequest, is_allowed: IsAllowed, methods: str) -> HttpResponse:
    """Answer the question that a browser asks before a request that is not simple (Fetch §3.2.2)."""
    response = HttpResponse(status=204, headers={"Allow": f"{methods}, OPTIONS"})
    allow(request, response, is_allowed)
    if response.has_header("Access-Control-Allow-Origin"):
        response["Access-Control-Allow-Methods"] = methods
        response["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        response["Access-Control-Max-Age"] = "600"
    return response
