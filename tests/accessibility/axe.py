"""axe-core in a page: what it finds, and which of it is Django's own."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

#: WCAG 2.2 at level AA, and what axe-core calls best practices.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: What a color scheme makes a difference to.
OF_COLORS = ["color-contrast", "link-in-text-block"]

_SCRIPT = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
_RUN = """async (runOnly) => {
  const { violations } = await axe.run(document, { runOnly, resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => [id, target.flat().join(" "), failureSummary]));
}"""


def violations(page: Any, *, of_colors: bool = False) -> dict[tuple[str, str], str]:
    """What axe-core finds: the rule and the place, with what is wrong there."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_SCRIPT)
    only = {"type": "rule", "values": OF_COLORS} if of_colors else {"type": "tag", "values": TAGS}
    return {(rule, place): _line(why) for rule, place, why in page.evaluate(_RUN, only)}


def kind(rule: str, place: str) -> tuple[str, str]:
    """The same without which of many rows or fields it is, by which pages can be compared."""
    last = " > ".join(place.split(" > ")[-2:])
    return rule, re.sub(r":nth-child\(\d+\)|\d+|\[[^]]*\]", "", last) or last


def _line(summary: str) -> str:
    return " ".join(summary.split())
