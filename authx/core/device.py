"""What a device sends about itself, made safe to show: one line, a type and a label."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

WEB: Final = "web"
OTHER: Final = "other"
#: What is stored where nothing is known, and between the parts of a label: people read it in their language.
UNKNOWN: Final = "Unknown device"
_JOINT: Final = " on "

MAX_USER_AGENT_LENGTH: Final = 512  # characters; more only costs time
MAX_LABEL_LENGTH: Final = 100  # characters
#: Of the id that a client chooses for its device, and of the name that its user reads.
MAX_ID_LENGTH: Final = 128
MAX_NAME_LENGTH: Final = 100

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


#: On what a browser runs, as its user agent says; the first that fits.
_FORMS: Final = (
    (re.compile(r"iPad|Tablet|Android(?!.*Mobile)|Silk/"), "tablet"),
    (re.compile(r"iPhone|iPod|Android|Mobile"), "phone"),
    (re.compile(r"Windows|Macintosh|X11|CrOS|Linux"), "laptop"),
)
_FORM_OF_TYPE: Final = {"ios": "phone", "android": "phone", "desktop": "desktop"}


def form_of(device_type: str, user_agent: str) -> str:
    """Return what a device looks like: phone, tablet, laptop, desktop, terminal; browser if nothing says it.

    No user agent tells a laptop from a desktop computer: browsers on either are a laptop.
    """
    form = _FORM_OF_TYPE.get(device_type)
    if form == "phone" and "iPad" in user_agent:
        return "tablet"
    if form is not None:
        return form
    if device_type != WEB:
        return "terminal"
    return next((form for pattern, form in _FORMS if pattern.search(user_agent)), "browser")


def describe_user_agent(user_agent: str) -> tuple[str, str]:
    """Return the device type, "web" or "other", and a label such as "Firefox on Windows"."""
    return _describe(clean_text(user_agent, MAX_USER_AGENT_LENGTH))


def parts_of_label(label: str) -> tuple[str, str] | None:
    """Return what runs and on what, of a label of ``describe_user_agent``; None if it names but one."""
    name, joint, place = label.rpartition(_JOINT)
    return (name, place) if joint else None


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
    label = _JOINT.join(part for part in (name, place) if part not in ("", "Other"))
    return WEB if is_browser else OTHER, label[:MAX_LABEL_LENGTH].rstrip() or UNKNOWN
