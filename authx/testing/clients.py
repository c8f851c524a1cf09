"""Test clients of every make: what a request of theirs looks like, and how they are given credentials."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import AsyncRequestFactory, RequestFactory
from rest_framework.test import APIClient


def has_cookies_first(client: Any) -> bool:
    """Return whether it stands for a browser: Django's own clients do."""
    return isinstance(client, RequestFactory) and not hasattr(client, "force_authenticate")


def request_of(client: Any) -> HttpRequest:
    """Return a request as the client sends it: with its cookies, address and user agent."""
    if not isinstance(client, RequestFactory):
        factory: Any = RequestFactory(headers={"User-Agent": client.headers.get("User-Agent", "")})
        factory.cookies.load(dict(client.cookies.items()))
    else:
        is_async = isinstance(client, AsyncRequestFactory)
        defaults: dict[str, Any] = client.defaults
        factory = AsyncRequestFactory(**defaults) if is_async else RequestFactory(**defaults)
        factory.cookies = client.cookies
    request: HttpRequest = factory.get("/")
    return request


def send_bearer(client: Any, access_token: str | None) -> None:
    """Make it send this token with every request; None: no Bearer token any more."""
    headers: Any
    if not isinstance(client, RequestFactory):
        name, headers = "AUTHORIZATION", client.headers  # as ninja's client needs it, and no other minds
    elif isinstance(client, APIClient):
        name, headers = "HTTP_AUTHORIZATION", vars(client)["_credentials"]
    else:
        name = "AUTHORIZATION" if isinstance(client, AsyncRequestFactory) else "HTTP_AUTHORIZATION"
        headers = client.defaults
    if access_token is not None:
        headers[name] = f"Bearer {access_token}"
    elif str(headers.get(name, "")).startswith("Bearer "):
        del headers[name]


def keep_cookies(client: Any, response: HttpResponseBase) -> None:
    """Give it the cookies of a response, as if it had asked for that."""
    if isinstance(client, RequestFactory):
        client.cookies.update(response.cookies)
        return
    for name, morsel in response.cookies.items():
        client.cookies.set(name, morsel.value, path="/")
