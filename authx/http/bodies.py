"""How large a request's body is, and keeping uploads out of temporary files."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, QueryDict
from django.utils.datastructures import MultiValueDict


def body_size(request: HttpRequest) -> int:
    """Return the body's size in octets: counted where the server holds it (ASGI), else Content-Length."""
    stream: Any = getattr(request, "_stream", None)
    if hasattr(stream, "seekable") and stream.seekable():
        here = stream.tell()
        size: int = stream.seek(0, 2)
        stream.seek(here)
        return size
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0  # then Django reads no body


def is_too_large(request: HttpRequest) -> bool:
    """Return whether the body exceeds DATA_UPLOAD_MAX_MEMORY_SIZE, what Django would read as a form."""
    largest = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return largest is not None and body_size(request) > largest


def leave_uploads_unread(request: HttpRequest) -> None:
    """Prevent the parsing of a multipart body, which Django writes to temporary files as it arrives.

    The CSRF check looks for its field in ``POST``, an error report shows it, and DRF uses as data what
    another middleware has parsed. Files that were parsed before are left for Django to close.
    """
    if request.content_type == "multipart/form-data":
        kept = vars(request)
        kept["_post"] = QueryDict()
        kept.setdefault("_files", MultiValueDict())
