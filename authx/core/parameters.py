"""The parameters of a request to the authorization server: what none may hold, and how one is named."""

from __future__ import annotations

import re
from typing import Final

#: What no value holds: NUL, which some databases refuse, and halves of characters.
_UNUSABLE: Final = re.compile(r"[\x00\ud800-\udfff]")
_NAME: Final = re.compile(r"[a-z_]{1,32}")


def is_usable(value: str, *, longest: int) -> bool:
    """Return whether a value is of at most so many characters, and holds none that none may hold."""
    return len(value) <= longest and not _UNUSABLE.search(value)


def shown(name: str) -> str:
    """Return a parameter's name as a description may have it: what a client makes up is not repeated."""
    return name if _NAME.fullmatch(name) else "a parameter"
