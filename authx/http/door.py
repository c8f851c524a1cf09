"""Which door a request comes through, as metrics call it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from authx.http.renewal import is_api_view


def door_of(request: Any) -> str:
    """Return ``api`` for a request to a DRF view, ``pages`` for another; ``code`` where there is none."""
    request = getattr(request, "_request", request)
    if not isinstance(request, HttpRequest):
        return "code"
    return "api" if is_api_view(request) else "pages"
