"""The pages that every contestant serves: sync, and async under ``/async``."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path

#: A page that never touches the user, one that asks whether there is one, one that reads its name.
VIEWS = ("untouched", "is_authenticated", "username")


def _answer(user: Any, *, reads_name: bool) -> HttpResponse:
    """200 to a user who is signed in, and where nobody looks after users."""
    if user is None:
        return HttpResponse("hello")
    if not user.is_authenticated:
        return HttpResponse(status=401)
    return HttpResponse(f"hello {user.username}" if reads_name else "hello")


def untouched(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


def is_authenticated(request: HttpRequest) -> HttpResponse:
    return _answer(getattr(request, "user", None), reads_name=False)


def username(request: HttpRequest) -> HttpResponse:
    return _answer(getattr(request, "user", None), reads_name=True)


async def _auser(request: HttpRequest) -> Any:
    return await request.auser() if hasattr(request, "auser") else None


async def async_untouched(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


async def async_is_authenticated(request: HttpRequest) -> HttpResponse:
    return _answer(await _auser(request), reads_name=False)


async def async_username(request: HttpRequest) -> HttpResponse:
    return _answer(await _auser(request), reads_name=True)


urlpatterns = [
    path("untouched/", untouched),
    path("is_authenticated/", is_authenticated),
    path("username/", username),
    path("async/untouched/", async_untouched),
    path("async/is_authenticated/", async_is_authenticated),
    path("async/username/", async_username),
]
