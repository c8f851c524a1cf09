"""Rules of the settings about clients: what they may be allowed, and for which APIs."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django.utils.functional import Promise

#: A scope-token (RFC 6749 §3.3).
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")
#: Characters of a URI (RFC 3986 §2), but no fragment.
_URI = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]{1,255}")


def scopes(value: Any) -> str | None:
    if isinstance(value, dict) and all(_is_scope(name) and _is_text(value[name]) for name in value):
        return None
    return 'must map scopes to what users read about them, such as {"orders:read": "See your orders"}'


def resources(value: Any) -> str | None:
    if isinstance(value, dict) and all(_is_resource(uri) and _are_scopes(value[uri]) for uri in value):
        return None
    return (
        "must map absolute URIs without a fragment to lists of scopes, such as "
        '{"https://shop.example/api/": ["orders:read"]}'
    )


def _is_scope(value: Any) -> bool:
    return isinstance(value, str) and _SCOPE.fullmatch(value) is not None


def _are_scopes(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_scope, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str | Promise) and bool(str(value).strip())


def _is_resource(value: Any) -> bool:
    if not isinstance(value, str) or not _URI.fullmatch(value):
        return False
    try:
        return bool(urlsplit(value).scheme)
    except ValueError:
        return False
