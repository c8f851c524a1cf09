"""The exception handlers: DRF's own, plus ``code``, ``reason`` and the Bearer challenge."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from rest_framework.exceptions import APIException, ErrorDetail, NotAuthenticated
from rest_framework.response import Response
from rest_framework.views import exception_handler

from authx.api.exceptions import OWN, Refused, refusal
from authx.errors import AuthxError, KeyInvalid
from authx.http.language import name_language, negotiated
from authx.http.request_state import request_state

Handler = Callable[[Exception, dict[str, Any]], Response | None]


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an API error with ``{"detail", "code", "reason"?}``, return None for others (RFC 6750 §3)."""
    is_plain = isinstance(exc, APIException) and exc.detail == str(exc.default_detail)
    with _negotiated(context) as language:
        exc = _translated(exc, context)
        if language is not None and isinstance(exc, APIException):
            _reword(exc, is_plain=is_plain)
        response = exception_handler(exc, context)
    if response is None:
        return None
    name_language(response, language)
    if isinstance(exc, Refused):
        # Where another authentication class comes first, DRF has made it a 403 without a challenge.
        response.status_code = 401
        response["WWW-Authenticate"] = exc.challenge
    _add_code(response)
    return response


def handle_own(
    exc: Exception, context: dict[str, Any], otherwise: Handler = exception_handler
) -> Response | None:
    """Answer our errors as ``handle`` does, and leave all others to another handler."""
    with _negotiated(context):
        known = _translated(exc, context)
    is_ours = known is not exc or isinstance(exc, OWN)
    return handle(known, context) if is_ours else otherwise(exc, context)


def _negotiated(context: dict[str, Any]) -> AbstractContextManager[str | None]:
    request = context.get("request")
    return negotiated(None if request is None else request._request)


def _translated(exc: Exception, context: dict[str, Any]) -> Exception:
    """Return the exception that tells a client what is wrong, where we know more of it."""
    request = context.get("request")
    if isinstance(exc, NotAuthenticated) and request is not None:
        exc = request_state(request._request).refusal or exc  # a refused cookie has its own reason
    if isinstance(exc, AuthxError) and not isinstance(exc, KeyInvalid):
        exc = refusal(exc)
    return exc


def _reword(answer: APIException, *, is_plain: bool) -> None:
    """Say it in the language that is active now; it may have been raised when another was.

    ``is_plain`` says that it says no more than all of its class do.
    """
    if isinstance(answer, Refused):
        answer.detail = {name: ErrorDetail(text, answer.word) for name, text in answer.body().items()}
    elif is_plain:
        answer.detail = ErrorDetail(
            str(answer.default_detail), getattr(answer.detail, "code", answer.default_code)
        )


def _add_code(response: Response) -> None:
    """Add the error code to DRF's ``{"detail": ...}``; errors of single fields stay as they are."""
    detail = response.data.get("detail") if isinstance(response.data, dict) else None
    if detail is not None and "code" not in response.data:
        response.data["code"] = getattr(detail, "code", "error")
