"""Links that end sessions, kept out of the access logs that servers write by Python's ``logging``.

The view masks its own address, but a server may have kept a copy, or write before the view has run.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Final

from authx.http.error_reports import MASK

_LOGGERS: Final = ("django.server", "gunicorn.access", "granian.access", "hypercorn.access", "uvicorn.access")
#: The end of the page's address, wherever a site has put it.
_BEFORE: Final = "/not-me/"
_LINK: Final = re.compile(rf"(?<={_BEFORE})[^/?#\s\"]+")


class HideLinks(logging.Filter):
    """Replaces what comes after ``/not-me/`` in the arguments of a record, be they a tuple or a mapping."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Hide them in the record, and let it pass."""
        if isinstance(record.msg, str):
            record.msg = _hidden(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(map(_hidden, record.args))
        elif isinstance(record.args, dict):
            for name in [name for name, value in record.args.items() if _hidden(value) != value]:
                record.args[name] = _hidden(record.args[name])
        return True


def connect() -> None:
    """Hide them from now on, in this process."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(found, HideLinks) for found in logger.filters):
            logger.addFilter(HideLinks())


def _hidden(value: Any) -> Any:
    return _LINK.sub(MASK, value) if isinstance(value, str) and _BEFORE in value else value
