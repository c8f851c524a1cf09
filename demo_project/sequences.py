"""Sequence diagrams as SVG: who says what to whom, one line after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

#: Units of the picture, which has as many pixels where there is room.
COLUMN: Final = 190
ROW: Final = 44
HEAD: Final = 40
MARGIN: Final = 16

Step = tuple[str, str, str]


def draw(title: str, actors: Sequence[str], steps: Sequence[Step]) -> SafeString:
    """Return the diagram of ``steps``: from whom, to whom, and what is said. Its text is its description."""
    width, height = COLUMN * len(actors), HEAD + ROW * len(steps) + 2 * MARGIN
    places = {name: COLUMN * number + COLUMN // 2 for number, name in enumerate(actors)}
    return format_html(
        '<svg class="demo-sequence" width="{}" viewBox="0 0 {} {}" role="img" aria-label="{}: {}">{}{}</svg>',
        width,
        width,
        height,
        title,
        "; ".join(f"{source} to {target}: {text}" for source, target, text in steps),
        format_html_join("", "{}", ((_actor(name, place, height),) for name, place in places.items())),
        format_html_join(
            "",
            "{}",
            (
                (_arrow(places[source], places[target], text, HEAD + MARGIN + ROW * number + 24),)
                for number, (source, target, text) in enumerate(steps)
            ),
        ),
    )


def _actor(name: str, x: int, height: int) -> SafeString:
    half = COLUMN // 2 - 12
    return format_html(
        '<line class="demo-life" x1="{x}" y1="{top}" x2="{x}" y2="{bottom}"/>'
        '<rect class="demo-actor" x="{left}" y="2" width="{width}" height="{high}" rx="8"/>'
        '<text class="demo-name" x="{x}" y="26" text-anchor="middle">{name}</text>',
        x=x,
        top=HEAD,
        bottom=height - 4,
        left=x - half,
        width=2 * half,
        high=HEAD - 4,
        name=name,
    )


def _arrow(x1: int, x2: int, text: str, y: int) -> SafeString:
    back = 8 if x2 < x1 else -8
    return format_html(
        '<path class="demo-arrow" d="M{x1} {y}H{end}"/>'
        '<path class="demo-point" d="M{end} {y}l{back} -5v10z"/>'
        '<text class="demo-said" x="{middle}" y="{above}" text-anchor="middle">{text}</text>',
        x1=x1,
        y=y,
        end=x2 + back // 8,
        back=back,
        middle=(x1 + x2) // 2,
        above=y - 8,
        text=text,
    )


BROWSER, SITE, ORDERS, STOCK, READER = "Browser", "The site", "orders", "stock", "Reader"

#: What the page shows, by the name of the place where each stands.
SEQUENCES: Final = {
    "exchange": draw(
        "A service calls another for the user",
        [BROWSER, SITE, ORDERS, STOCK],
        [
            (BROWSER, SITE, "your access token"),
            (SITE, ORDERS, "the same token"),
            (ORDERS, SITE, "exchange it for stock"),
            (SITE, ORDERS, "a token for stock alone"),
            (ORDERS, STOCK, "that token, for you"),
        ],
    ),
    "own": draw(
        "A service calls another for itself",
        [SITE, ORDERS, STOCK],
        [
            (ORDERS, SITE, "its own credentials"),
            (SITE, ORDERS, "a token of its own"),
            (ORDERS, STOCK, "that token, for nobody"),
        ],
    ),
    "code": draw(
        "An app of another maker acts for the user",
        [READER, BROWSER, SITE],
        [
            (READER, BROWSER, "ask the site"),
            (BROWSER, SITE, "may Reader?"),
            (SITE, BROWSER, "you allow it: a code"),
            (BROWSER, READER, "the code"),
            (READER, SITE, "code and secret"),
            (SITE, READER, "tokens of its own"),
        ],
    ),
}
