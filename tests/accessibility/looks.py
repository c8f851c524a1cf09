"""How a page looks where there is little room, or where people have settled how pages look to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: WCAG 2.2, success criterion 1.4.12. Not as a style element, which a strict policy would forbid.
_SPACED = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: 0.12em !important;
    word-spacing: 0.16em !important } p { margin-block-end: 2em !important }`);
  document.adoptedStyleSheets = [sheet];
}"""
_LAYOUT = (Path(__file__).parent / "layout.js").read_text("utf-8")


def layout(page: Any) -> list[str]:
    """What does not hold: a page that scrolls sideways, text that is cut off, boxes that overlap."""
    found: list[str] = page.evaluate(_LAYOUT)
    return found


@contextmanager
def space_text(page: Any) -> Iterator[None]:
    """Space letters, words and lines as far as readers may want them."""
    page.evaluate(_SPACED)
    try:
        yield
    finally:
        page.evaluate("document.adoptedStyleSheets = []")
