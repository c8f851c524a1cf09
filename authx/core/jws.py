"""The compact form of signed tokens, of ours and of a client's (RFC 7515 §7.1)."""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from typing import Any, Final

from authx.core import strict_json
from authx.errors import TokenMalformed

MAX_TOKEN_LENGTH: Final = 8192  # characters
MAX_KID_LENGTH: Final = 64  # characters

#: Three segments, none empty, none padded; 1366 characters hold a header of 1 KiB.
COMPACT: Final = re.compile(r"([A-Za-z0-9_-]{1,1366})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
#: Headers that would change what is signed, or choose the key (RFC 7515 §4.1, RFC 7797 §3).
FORBIDDEN_HEADERS: Final = frozenset({"crit", "b64", "zip", "jku", "jwk", "x5u", "x5c"})
#: To the other alphabet of base64, whose own two characters become none of it (RFC 4648 §5).
_STANDARD: Final = bytes.maketrans(b"-_+/", b"+/!!")


def octets_of(segment: str) -> bytes:
    """Decode base64url, accepting only the one spelling without spare bits (RFC 4648 §3.5).

    Raises:
        TokenMalformed: it is another spelling, or none.
    """
    try:
        text = segment.encode().translate(_STANDARD)
        octets = a2b_base64(text + b"=="[: -len(text) % 4], strict_mode=True)
    except ValueError:
        raise TokenMalformed("a segment is not base64url") from None
    if b2a_base64(octets, newline=False).rstrip(b"=") != text:
        raise TokenMalformed("a segment has spare bits")
    return octets


def object_of(segment: str) -> dict[str, Any]:
    """Read the JSON object in a segment.

    Raises:
        TokenMalformed: there is none that every parser reads alike.
    """
    try:
        return strict_json.loads(octets_of(segment))
    except ValueError:
        raise TokenMalformed("a segment is not a strict JSON object") from None
