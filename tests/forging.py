"""Tokens that were never issued: any header over any payload, signed by any key, spelled in any way."""

from __future__ import annotations

import base64
import json
from typing import Any

from authx.core.keys import Key


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def as_raw(value: Any) -> bytes:
    """A JSON object's octets; octets stay as they are."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def sign(head: str, body: str, key: Key) -> str:
    """Sign two segments as they are."""
    signed = f"{head}.{body}"
    return f"{signed}.{b64(key.sign(signed.encode(errors='surrogatepass')))}"


def forge(head: Any, body: Any, key: Key) -> str:
    """Sign a header and a payload: objects, or the very octets."""
    return sign(b64(as_raw(head)), b64(as_raw(body)), key)


def changed(members: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The members with some changed, or taken out by ``...``."""
    return {name: value for name, value in (members | changes).items() if value is not ...}
