"""The API, for Django REST framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def exception_handler(exc: Exception, context: dict[str, Any]) -> Any:
    """Answer as DRF's handler does, adding ``code``, ``reason`` and the Bearer challenge.

    For ``REST_FRAMEWORK["EXCEPTION_HANDLER"]``, where it answers every error of the site: each gets a
    ``code``, and a refused credential is 401 where DRF would say 403. Imports the handler only when called:
    DRF's views read their settings, which name this function, while they are being imported.
    """
    from authx.api.handler import handle

    return handle(exc, context)


def own_errors_only(
    exc: Exception, context: dict[str, Any], otherwise: Callable[..., Any] | None = None
) -> Any:
    """Answer authx's errors as ``exception_handler`` does, and leave the site's as they are.

    ``otherwise`` is the handler that answers those; DRF's own without one.
    """
    from authx.api.handler import handle_own

    return handle_own(exc, context) if otherwise is None else handle_own(exc, context, otherwise)


__all__ = ["exception_handler", "own_errors_only"]
