"""A person who has no mouse: where the Tab key leads, and whether they see where they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.accessibility.ax import Reader

_FOCUS = (Path(__file__).parent / "focus.js").read_text("utf-8")
_START = """() => {
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
}"""
_ROLE_AND_NAME = re.compile(r'\w+( "[^"]*")?')
#: More stops than any page has.
MOST = 400


class Keyboard:
    """The keys, and what they lead to."""

    def __init__(self, page: Any) -> None:
        self.page, self.keys, self.reader = page, page.keyboard, Reader(page)

    def here(self) -> str:
        """The role and the name of what has the focus, as they are read out."""
        found = _ROLE_AND_NAME.match(self.reader.focused())
        return found[0] if found else ""

    def start(self) -> None:
        """Put the focus before everything on the page, also where a field had taken it."""
        self.page.evaluate(_START)

    def tab_to(self, name: str) -> None:
        """Press Tab until that has the focus, if it has not been given it already."""
        met = [self.here()]
        while met[-1] != name:
            self.keys.press("Tab")
            met.append(self.here())
            if not met[-1] or len(met) > MOST:
                raise AssertionError(f"{name!r} is none of {met}")

    def press(self, key: str) -> None:
        """Press a key that leads to another page."""
        with self.page.expect_navigation():
            self.keys.press(key)

    def walk(self) -> tuple[list[str], list[str]]:
        """Walk through the page from its beginning: where the focus is, and what is wrong there.

        The focus is seen by something that is there with it and not without it, and nothing lies on it.
        """
        self.start()
        stops, wrong = [], []
        for _ in range(MOST):
            self.keys.press("Tab")
            found = self.page.evaluate(_FOCUS)
            wrong += found["wrong"]
            if not found["name"]:
                return stops, wrong
            stops.append(found["name"])
        raise AssertionError(f"there is no end to it: {stops[:20]}")
