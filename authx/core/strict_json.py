"""JSON for signed tokens: every text has one reading, every value one spelling."""

from __future__ import annotations

import json
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
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_unique)
        if not isinstance(value, dict):
            raise ValueError("not an object")
        dumps(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def dumps(value: dict[str, Any]) -> bytes:
    """Write the one compact spelling of ``value``: names sorted, UTF-8, no spaces.

    Raises:
        ValueError: ``loads`` would refuse it.
    """
    if _is_deep(value):
        raise ValueError("nested too deeply")
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate name")
    return members


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [item for outer in level for item in _items(outer)]
        level = [item for item in inner if isinstance(item, dict | list | tuple)]
    return bool(level)


def _items(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container
