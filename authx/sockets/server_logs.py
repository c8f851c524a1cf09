"""Credentials kept out of what servers log at debug level: the package ``websockets`` writes all headers."""

from __future__ import annotations

import logging
from typing import Final

#: The loggers that it is given, or uses by itself.
_LOGGERS: Final = ("uvicorn.error", "websockets.server")
_HIDDEN: Final = frozenset({"authorization", "cookie", "sec-websocket-protocol"})


class HideCredentials(logging.Filter):
    """Replaces the value of a header that may hold a credential, in records of a name and a value."""

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args
        if isinstance(arguments, tuple) and len(arguments) == 2 and str(arguments[0]).lower() in _HIDDEN:
            record.args = (arguments[0], "(hidden by authx)")
        return True


def hide_credentials() -> None:
    """Hide them from now on, in this process."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(found, HideCredentials) for found in logger.filters):
            logger.addFilter(HideCredentials())
