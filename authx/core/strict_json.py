"""JSON for signed tokens: every text has one reading, every value one spelling."""

from __future__ import annotations

import json
from math import isinf
from typing import Any

MAX_DEPTH = 8  # nested objects and arrays, the outermost included


def loads(raw: bytes) -> dict[str, Any]:
    """Read one JSON object, refusing everything that two parsers could read differently.

    Refused are encodings other than UTF-8, a byte order mark, duplicate names at any depth,
    NaN and infinities (also ``1e999``), lone surrogates and deep nesting (RFC 7515 §4,
    RFC 7519 §4, RFC 7493 §2).

    Raises:
        ValueError: it is not such an object.
    """
    text = raw.decode()
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    if _may_be_deep(text) and _is_deep(value):
        raise ValueError("nested too deeply")
    if "\\u" in text:
        dumps(value)  # which refuses lone surrogates; no other spelling makes them
    return value


def dumps(value: dict[str, Any]) -> bytes:
    """Write the one compact spelling of ``value``: names sorted, UTF-8, no spaces.

    Raises:
        ValueError: ``loads`` would refuse it.
    """
    try:
        text = _encoder.encode(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _may_be_deep(text) and _is_deep(value):
        raise ValueError("nested too deeply")
    return text.encode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate name")
    return members


def _finite(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise ValueError("Out of range float values are not JSON compliant")
    return value


def _no_number(name: str) -> Any:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


#: Both made once, which costs as much as reading a token. The decoder's functions refuse what one reading
#: would hide.
_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_number)
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _may_be_deep(text: str) -> bool:
    """Return whether there are enough brackets in a JSON text for it; counting them costs next to nothing."""
    return text.count("{") + text.count("[") > MAX_DEPTH


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [item for outer in level for item in _items(outer)]
        level = [item for item in inner if isinstance(item, dict | list | tuple)]
    return bool(level)


def _items(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container
