"""Traceback pages without tokens, in DEBUG too: somebody will paste one into a ticket."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final
from urllib.parse import unquote

from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.views.debug import get_default_exception_reporter_filter


def keep_secrets(request: HttpRequest) -> None:
    """Have Django use ``report_filter`` in a report on this request; one that it has already stays."""
    if not hasattr(request, "exception_reporter_filter"):
        request.__dict__["exception_reporter_filter"] = report_filter()


def report_filter() -> Any:
    """Return the site's own filter, which honors ``sensitive_variables`` whatever DEBUG says."""
    kind = get_default_exception_reporter_filter().__class__
    return _always_active(kind.__module__, kind.__name__)()


class HiddenText:
    """A text for a template, whose variables Django shows in a report when the page cannot be made."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


#: What stands in an address in place of a secret.
MASK: Final = "hidden"

_SEGMENT: Final = re.compile(r"[^/?#]+")
#: Where servers keep it, in the environment of a request (WSGI) or its scope (ASGI).
_ADDRESSES: Final = {"PATH_INFO", "REQUEST_URI", "RAW_URI", "HTTP_REFERER", "path", "raw_path"}


class SecretConverter:
    """Takes a secret from an address, so that no report or log shows it with the arguments of the view."""

    regex = "[^/]+"

    def to_python(self, value: str) -> HiddenText:
        """Return the secret, which a report does not show."""
        return HiddenText(value)

    def to_url(self, value: object) -> str:
        """Return the text itself."""
        return str(value)


def mask_in_address(request: HttpRequest, secret: str) -> None:
    """Take a secret out of the address that the request came to, wherever a log or a report would read it."""
    request.path, request.path_info = _masked(request.path, secret), _masked(request.path_info, secret)
    for place in (request.META, getattr(request, "scope", {})):
        for name in _ADDRESSES & place.keys():
            value = place[name]
            if isinstance(value, bytes):
                place[name] = _masked(value.decode("latin-1"), secret).encode("latin-1")
            elif isinstance(value, str):
                place[name] = _masked(value, secret)


def _masked(address: str, secret: str) -> str:
    """Return the address without the secret, which is one of its segments, encoded or not."""
    return _SEGMENT.sub(lambda part: MASK if secret in (part[0], unquote(part[0])) else part[0], address)


@cache
def _always_active(module: str, name: str) -> Any:
    """Return a subclass of the site's own filter that is active also where Django switches it off."""
    kind = import_string(f"{module}.{name}")
    return type(name, (kind,), {"is_active": lambda self, request: True})
