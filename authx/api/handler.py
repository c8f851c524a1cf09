"""The exception handler: DRF's own, plus ``code``, ``reason`` and the Bearer challenge."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import NotAuthenticated
from rest_framework.response import Response
from rest_framework.views import exception_handler

from authx.api.exceptions import Refused, refusal
from authx.errors import AuthxError, KeyInvalid
from authx.http.request_state import request_state


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an API error with ``{"detail", "code", "reason"?}``, return None for others (RFC 6750 §3)."""
    request = context.get("request")
    if isinstance(exc, NotAuthenticated) and request is not None:
        exc = request_state(request._request).refusal or exc  # a refused cookie has its own reason
    if isinstance(exc, AuthxError) and not isinstance(exc, KeyInvalid):
        exc = refusal(exc)
    response = exception_handler(exc, context)
    if response is None:
        return None
    if isinstance(exc, Refused):
        # Where another authentication class comes first, DRF has made it a 403 without a challenge.
        response.status_code = 401
        response["WWW-Authenticate"] = exc.challenge
    _add_code(response)
    return response


def _add_code(response: Response) -> None:
    """Add the error code to DRF's ``{"detail": ...}``; errors of single fields stay as they are."""
    detail = response.data.get("detail") if isinstance(response.data, dict) else None
    if detail is not None and "code" not in response.data:
        response.data["code"] = getattr(detail, "code", "error")
