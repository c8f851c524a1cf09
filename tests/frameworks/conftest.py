"""Clients of every make, in one manner of speaking."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client


def ask(client, path, method="get", *arguments, **more):
    """The response of a sync or an async client."""

    async def aask():
        return await getattr(client, method)(path, *arguments, **more)

    if isinstance(client, AsyncClient):
        return async_to_sync(aask)()
    return getattr(client, method)(path, *arguments, **more)


@pytest.fixture(name="ask")
def _ask():
    return ask


@pytest.fixture(params=[Client, AsyncClient], ids=["WSGI", "ASGI"])
def client(request):
    """One that is asked for CSRF tokens, as a browser is."""
    return request.param(enforce_csrf_checks=True)


@pytest.fixture(params=["bearer", "cookie"])
def transport(request):
    return request.param


@pytest.fixture
def with_token(ask):
    """The headers of a page that has Django's CSRF token."""

    def headers(client):
        token = ask(client, "/api/auth/login/").cookies["csrftoken"].value
        return {"X-CSRFToken": token}

    return headers
