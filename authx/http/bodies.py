"""How large a request's body is, and keeping uploads out of temporary files."""

from __future__ import annotations

import math
from typing import Any

from django.conf import settings
from django.http import HttpRequest, QueryDict
from django.utils.datastructures import MultiValueDict


def body_size(request: HttpRequest) -> int:
    """Octets of the body: as many as there are where the server holds it already (ASGI), else as it says."""
    stream: Any = getattr(request, "_stream", None)
    if hasattr(stream, "seekable") and stream.seekable():
        here = stream.tell()
        size: int = stream.seek(0, 2)
        stream.seek(here)
        return size
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0  # then Django reads none


def largest_body() -> float:
    """Octets that a body may have: Django's DATA_UPLOAD_MAX_MEMORY_SIZE, infinite where that is None."""
    return math.inf if settings.DATA_UPLOAD_MAX_MEMORY_SIZE is None else settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def leave_uploads_unread(request: HttpRequest) -> None:
    """See that nobody parses a multipart body, which Django writes to temporary files as it comes.

    The CSRF check looks for its field in ``POST``, a report on an error shows it, and DRF takes for data what
    another middleware has parsed. Files that are there already are Django's to close.
    """
    if request.content_type == "multipart/form-data":
        kept = vars(request)
        kept["_post"] = QueryDict()
        kept.setdefault("_files", MultiValueDict())
