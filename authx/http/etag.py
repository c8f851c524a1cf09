"""The entity tag of a response (RFC 9110 §8.8.3)."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any


def entity_tag(content: Any) -> str:
    """Return a strong tag, quoted, of anything that JSON can hold."""
    return f'"{sha256(json.dumps(content).encode()).hexdigest()[:32]}"'
