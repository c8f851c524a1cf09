"""Identifiers: time-ordered UUIDs."""

from __future__ import annotations

import secrets
import time
from uuid import UUID


def uuid7() -> UUID:
    """A version 7 UUID: 48 bits of Unix milliseconds, then 74 random bits (RFC 9562 §5.7).

    The time only orders rows in an index; nothing reads it back. Python's own is 3.14 and later.
    """
    milliseconds = (time.time_ns() // 1_000_000) & ((1 << 48) - 1)
    value = milliseconds << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76  # version
    return UUID(int=value & ~(0x3 << 62) | 2 << 62)  # variant
