"""Whether a request is written in a charset that text is written in.

Python knows codecs that are no charset of any text: some unpack (``zlib``), some run through escapes
(``unicode_escape``), some raise what nobody expects (``punycode``, ``undefined``), and a library may register
more. Django decodes forms with whatever it is told and, under WSGI, every query, while it makes the request:
before any middleware. So the Content-Type is judged before that, and the doors answer.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Any, Final

from django.core.signals import request_started
from django.http import HttpRequest
from django.utils.http import parse_header_parameters

#: Codecs by Python's own names: those that programs and browsers write text in.
_ORDINARY: Final = re.compile(
    r"ascii|utf-8(-sig)?|utf-(16|32)(-[bl]e)?|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|tis-620|kz1048|ptcp154|hp-roman8"
    r"|big5(hkscs)?|gb2312|gbk|gb18030|euc_\w+|shift_jis\w*|iso2022_\w+|johab"
)
#: The longest name of a charset (RFC 2978 §2.3).
_LONGEST: Final = 40
_FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
#: What takes the place of a Content-Type by which Django would decode what is no text.
_UNREADABLE: Final = "application/x-authx-unreadable"

REFUSAL: Final = "The request's charset is none that text is written in."


def is_ordinary(charset: str) -> bool:
    """True if text is written in it; False also of what Python does not know."""
    return len(charset) <= _LONGEST and bool(_ORDINARY.fullmatch(_codec(charset) or ""))


def is_unreadable(request: HttpRequest) -> bool:
    """True if the request came with a Content-Type by which Django would have failed to read it."""
    return request.content_type == _UNREADABLE


def names_no_charset(request: HttpRequest) -> bool:
    """True also of a charset that nobody knows, which Django ignores."""
    charset = (request.content_params or {}).get("charset")
    return is_unreadable(request) or (bool(charset) and not is_ordinary(str(charset)))


def connect() -> None:
    """Look at every request's Content-Type before Django does."""
    request_started.connect(_replace_unreadable, dispatch_uid="authx.charset")


def _replace_unreadable(*, environ: Any = None, scope: Any = None, **kwargs: Any) -> None:
    """Replace a Content-Type for which there would be no request, and so no answer but a 500."""
    if environ is not None and not _is_readable(environ.get("CONTENT_TYPE") or ""):
        environ["CONTENT_TYPE"] = _UNREADABLE
    if scope is not None:
        scope["headers"] = headers = list(scope.get("headers", ()))
        told = [value.decode("latin-1") for name, value in headers if name == b"content-type"]
        if not _is_readable(",".join(told)):  # as Django joins them
            others = [each for each in headers if each[0] != b"content-type"]
            scope["headers"] = [*others, (b"content-type", _UNREADABLE.encode())]


@lru_cache(maxsize=64)
def _is_readable(content_type: str) -> bool:
    """True if Django can take it apart, and will decode nothing by it but text.

    A charset that nobody knows is ignored by Django, and is the site's business where there is no form.
    """
    try:
        kind, parameters = parse_header_parameters(content_type)
    except Exception:  # the parser of mail headers raises what it meets
        return False
    charset = parameters.get("charset")
    if not charset or is_ordinary(charset):
        return True
    return kind not in _FORMS and _codec(charset) is None


def _codec(charset: str) -> str | None:
    """Python's name for it; None where there is none, ``""`` where it cannot be asked (NUL)."""
    try:
        return codecs.lookup(charset).name
    except LookupError:
        return None
    except ValueError:
        return ""
