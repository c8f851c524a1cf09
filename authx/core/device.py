"""What a device sends about itself, made safe to show: one line, a type and a label."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

WEB: Final = "web"
OTHER: Final = "other"
UNKNOWN: Final = "Unknown device"

MAX_USER_AGENT_LENGTH: Final = 512  # characters; more only costs time
MAX_LABEL_LENGTH: Final = 100  # characters

#: Only browsers name an engine; WebKit and Blink write "like Gecko".
_ENGINE: Final = re.compile(r"Gecko|Trident|MSIE|Presto")
#: "Mobile Safari", "Chrome Mobile iOS", "Chrome Mobile WebView": the label's second half shows it already.
_VARIANT: Final = re.compile(r"^Mobile | (Mobile|iOS|WebView|UI/).*")
_NAMES: Final = {"Mac OS X": "macOS", "Chrome OS": "ChromeOS"}
_APPLE: Final = frozenset({"iPhone", "iPad", "iPod"})


def clean_text(value: object, limit: int) -> str:
    """Return ``value`` as one line of at most ``limit`` visible characters; "" if it is not a string.

    Controls and line breaks become a space; bidi controls, zero-width characters, lone
    surrogates, private and unassigned code points are removed (ASVS 5.0 V16.4.1, CWE-117).
    """
    if not isinstance(value, str):
        return ""
    # Ten times the limit bounds the work, and leaves room for what is removed.
    shown = value[: 10 * limit]
    if not shown.isprintable():  # neither controls nor separators but the space: nearly every text is
        shown = "".join(_shown(character) for character in shown)
    return " ".join(shown.split())[:limit].rstrip()


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc":
        return " "
    return "" if category.startswith("C") else character


def describe_user_agent(user_agent: str) -> tuple[str, str]:
    """Return the device type, "web" or "other", and a label such as "Firefox on Windows"."""
    return _describe(clean_text(user_agent, MAX_USER_AGENT_LENGTH))


@lru_cache(maxsize=1024)
def _describe(user_agent: str) -> tuple[str, str]:
    from ua_parser import parse  # costly to load, and a verify-only service never needs it

    seen = parse(user_agent).with_defaults()
    if user_agent.startswith(("Mozilla/", "Opera/")):
        name = _VARIANT.sub("", seen.user_agent.family)
        is_browser = bool(_ENGINE.search(user_agent)) and seen.device.family != "Spider"
    else:
        # The app's own name, not that of the system library that sends its requests.
        name, is_browser = user_agent.partition("/")[0].partition("(")[0].strip(), False
    on_apple = seen.device.family in _APPLE
    place = seen.device.family if on_apple else _NAMES.get(seen.os.family, seen.os.family)
    label = " on ".join(part for part in (name, place) if part not in ("", "Other"))
    return WEB if is_browser else OTHER, label[:MAX_LABEL_LENGTH].rstrip() or UNKNOWN
