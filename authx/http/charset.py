"""Whether a request names a charset that is a text encoding.

Python has codecs that are no text encodings: some decompress (``zlib``), some interpret escapes
(``unicode_escape``), some raise unexpected exceptions (``punycode``, ``undefined``), and a library may
register more. Django decodes forms with whatever charset the request names and, under WSGI, every query too,
while it creates the request: before any middleware. So the Content-Type is checked before that, and the
middleware and the views answer.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Any, Final

from django.core.signals import request_started
from django.http import HttpRequest
from django.utils.http import parse_header_parameters
from django.utils.translation import gettext_lazy as _

#: The codecs, by Python's own names, in which programs and browsers write text.
_ORDINARY: Final = re.compile(
    r"ascii|utf-8(-sig)?|utf-(16|32)(-[bl]e)?|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|tis-620|kz1048|ptcp154|hp-roman8"
    r"|big5(hkscs)?|gb2312|gbk|gb18030|euc_\w+|shift_jis\w*|iso2022_\w+|johab"
)
#: The longest name of a charset (RFC 2978 §2.3).
_MAX_NAME_LENGTH: Final = 40
_URLENCODED: Final = "application/x-www-form-urlencoded"
_FORMS: Final = frozenset({_URLENCODED, "multipart/form-data"})
#: Replaces a Content-Type with which Django would decode by a codec that is no text encoding.
_UNREADABLE: Final = "application/x-authx-unreadable"

REFUSAL: Final[Any] = _("The request's charset is none that text is written in.")


def is_ordinary(charset: str) -> bool:
    """Return whether ``charset`` is a text encoding; False also for one that Python does not know."""
    return len(charset) <= _MAX_NAME_LENGTH and bool(_ORDINARY.fullmatch(_codec(charset) or ""))


def is_unreadable(request: HttpRequest) -> bool:
    """Return whether the request came with a Content-Type that would have made Django fail to read it."""
    return request.content_type == _UNREADABLE


def names_no_charset(request: HttpRequest) -> bool:
    """Return whether the request names a charset that is no text encoding, or an unknown one.

    So is one for a form in which ASCII is written in other octets: what is between ``&`` and ``=`` is ASCII.
    """
    charset = str((request.content_params or {}).get("charset") or "")
    if is_unreadable(request) or (charset and not is_ordinary(charset)):
        return True
    return request.content_type == _URLENCODED and bool(charset) and not _keeps_ascii(charset)


def connect() -> None:
    """Check every request's Content-Type before Django reads it."""
    request_started.connect(_replace_unreadable, dispatch_uid="authx.charset", weak=False)


def _replace_unreadable(*, environ: Any = None, scope: Any = None, **kwargs: Any) -> None:
    """Replace a Content-Type with which Django could not create the request, and would answer 500."""
    content_type = environ.get("CONTENT_TYPE") if environ is not None else None
    if content_type and not _is_readable(content_type):
        environ["CONTENT_TYPE"] = _UNREADABLE
    if scope is not None:
        scope["headers"] = headers = list(scope.get("headers", ()))
        content_types = [value.decode("latin-1") for name, value in headers if name == b"content-type"]
        if not _is_readable(",".join(content_types)):  # as Django joins them
            others = [each for each in headers if each[0] != b"content-type"]
            scope["headers"] = [*others, (b"content-type", _UNREADABLE.encode())]


@lru_cache(maxsize=64)
def _is_readable(content_type: str) -> bool:
    """Return whether Django can parse this Content-Type, and decodes only by text encodings because of it.

    Django ignores an unknown charset; without a form, what it means is left to the site.
    """
    try:
        kind, parameters = parse_header_parameters(content_type)
    except Exception:  # the parser of mail headers may raise anything
        return False
    charset = parameters.get("charset")
    if not charset or is_ordinary(charset):
        return True
    return kind not in _FORMS and _codec(charset) is None


def _keeps_ascii(charset: str) -> bool:
    return b"a&=%+0".decode(charset, "replace") == "a&=%+0"


def _codec(charset: str) -> str | None:
    """Return Python's name for a charset; None if unknown, ``""`` if it cannot be looked up (NUL)."""
    try:
        return codecs.lookup(charset).name
    except LookupError:
        return None
    except ValueError:
        return ""
