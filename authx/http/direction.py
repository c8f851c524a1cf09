"""Names and addresses in texts of the other direction of writing, where no markup can set them apart."""

from __future__ import annotations

import re
from typing import Any, Final
from unicodedata import bidirectional

from django.utils.translation import get_language_bidi

#: The classes of characters that are written from the right, or change the direction (UAX #9).
_TURNING: Final = {"R", "AL", "AN", "RLE", "RLO", "LRE", "LRO", "PDF"}
#: The marks themselves: one in a name would end, or never end, what it stands in.
_ISOLATES: Final = re.compile("[\u2066-\u2069]")


def isolated(text: Any) -> str:
    """Return the text so that it and the words around it are read in order: in plain text, and in attributes.

    Between marks that are not seen (UAX #9 §2.4.1), where it could matter; in markup ``<bdi>`` does the same.
    """
    shown = _ISOLATES.sub("", str(text))
    if not shown or not (get_language_bidi() or any(bidirectional(one) in _TURNING for one in shown)):
        return shown
    return f"\N{FIRST STRONG ISOLATE}{shown}\N{POP DIRECTIONAL ISOLATE}"
