"""Rules of the settings about clients: what they may be allowed, and for which APIs."""

from __future__ import annotations

from typing import Any, Final

from django.utils.functional import Promise

from authx.core.resources import is_resource
from authx.core.scopes import is_scope_token

_MAX_SCOPE_LENGTH: Final = 100  # characters


def scopes(value: Any) -> str | None:
    if isinstance(value, dict) and all(_is_scope(name) and _is_text(value[name]) for name in value):
        return None
    return 'must map scopes to what users read about them, such as {"orders:read": "See your orders"}'


def resources(value: Any) -> str | None:
    if isinstance(value, dict) and all(is_resource(uri) and _are_scopes(value[uri]) for uri in value):
        return None
    return (
        "must map absolute URIs without a fragment to lists of scopes, such as "
        '{"https://shop.example/api/": ["orders:read"]}'
    )


def _is_scope(value: Any) -> bool:
    return is_scope_token(value) and len(value) <= _MAX_SCOPE_LENGTH


def _are_scopes(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_scope, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str | Promise) and bool(str(value).strip())
