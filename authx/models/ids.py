"""Ids of rows that are made before the row is."""

from __future__ import annotations

import secrets
from uuid import UUID

from authx import clocks


def uuid7() -> UUID:
    """Return a version 7 UUID: 48 bits of Unix milliseconds, then 74 random bits (RFC 9562 §5.7).

    The time only keeps new rows together in the index; nothing reads it back. Python has its own since 3.14.
    """
    milliseconds = int(clocks.time() * 1000) & (1 << 48) - 1
    value = milliseconds << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76  # version
    return UUID(int=value & ~(0x3 << 62) | 2 << 62)  # variant
