"""The API, for Django REST framework."""

from __future__ import annotations

from typing import Any


def exception_handler(exc: Exception, context: dict[str, Any]) -> Any:
    """Answer as DRF's handler does, adding ``code``, ``reason`` and the Bearer challenge.

    For ``REST_FRAMEWORK["EXCEPTION_HANDLER"]``. Imports the handler only when called: DRF's views read their
    settings, which name this function, while they are being imported.
    """
    from authx.api.handler import handle

    return handle(exc, context)


__all__ = ["exception_handler"]
