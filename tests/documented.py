"""What the documentation tells people to write, for the tests that run it."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def documented(page, language, holding=""):
    """The one fenced block of a page that is in this language and has this text in it."""
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    (found,) = [text for text in fence.findall((DOCS / page).read_text()) if holding in text]
    return found


def with_changes(text, changes):
    """The text with each of these in the place of the other; every one must be there."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text
