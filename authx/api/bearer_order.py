"""Which authentication classes of a site read a Bearer token before ours does."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.http import HttpRequest
from django.utils.module_loading import import_string
from rest_framework.request import Request

from authx.api.admitting import AuthxAuthentication
from authx.api.foreign_tokens import takes_bearer


def readers_before_ours(named: Iterable[Any]) -> list[Any]:
    """Return those of the classes, or their names, that take Bearer tokens and stand before one of ours."""
    before: list[Any] = []
    for name in named:
        made = _made(name)
        if isinstance(made, AuthxAuthentication):
            if made.serves_clients is not None:
                return before
        elif made is not None and takes_bearer(made, Request(HttpRequest())):
            before.append(name)
    return []


def _made(name: Any) -> Any:
    """Return an instance of a class; None where there is none to be had, which DRF reports."""
    with suppress(Exception):  # the site's code, or another package's
        return (import_string(name) if isinstance(name, str) else name)()
    return None
