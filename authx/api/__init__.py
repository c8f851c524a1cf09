"""The door of the API: DRF."""

from __future__ import annotations

from typing import Any


def exception_handler(exc: Exception, context: dict[str, Any]) -> Any:
    """DRF's handler, and ``code``, ``reason`` and the Bearer challenge of the contract.

    Named in ``REST_FRAMEWORK["EXCEPTION_HANDLER"]``. Imported when called: DRF's views read their
    settings, which name this, while they are being imported.
    """
    from authx.api.errors import handle

    return handle(exc, context)


__all__ = ["exception_handler"]
