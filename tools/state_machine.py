"""Draw the state machine of refresh tokens from the code: ``python -m tools.state_machine``.

The picture shows what ``tools.transitions`` finds. A path without a place in the picture is an error.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from textwrap import wrap
from typing import Final
from xml.sax.saxutils import escape

from authx.core.rotation import Transition
from tools.transitions import CONFIRMED, ENDED, LIVE, PENDING, STATES, STRUCK, Step, labels, transitions

IMAGES: Final = Path(__file__).resolve().parents[1] / "docs/images"
NAME: Final = "refresh-states.svg"
MEANING: Final = {
    PENDING: "The newest generation is not seen in use yet.",
    CONFIRMED: "The newest generation is seen in use.",
    STRUCK: "CONFIRMED, and a spent token came too late.",
    ENDED: "Every token is refused, with the reason.",
}
#: What no refresh token decides, and the picture shows all the same.
OPENING: Final = "a login opens the session"
CONFIRMATION: Final = "T2 access token used"

WIDTH: Final = 440
LINE: Final = 17
GAP: Final = 70
BOX_LEFT, BOX_RIGHT = 76, 376
#: Where lines run up and down: through the states, up from CONFIRMED, up from STRUCK, and down to ENDED.
DOWN, UP, BACK_RAIL, ENDS, END_RAIL = 236, 112, 40, 58, 402
STYLE: Final = """
text { font: 13px/1 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1a1d26 }
.name { font-weight: 650; letter-spacing: .03em }
.muted { font-size: 12.5px; fill: #565d6e }
.paper { fill: #fff; stroke: #dfe2ea }
.live { fill: #f7f8fb; stroke: #b9c0cc; stroke-dasharray: 5 4 }
.state { fill: #e8ebfb; stroke: #a9b3ea }
.over { fill: #fbe9e9; stroke: #e3aaaa }
.line { fill: none; stroke: #3448c5; stroke-width: 1.5 }
.point { fill: #3448c5 }
.end { stroke: #b3261e }
.end-point { fill: #b3261e }
@media (prefers-color-scheme: dark) {
text { fill: #e8eaf2 }
.muted { fill: #adb4c4 }
.paper { fill: #14161c; stroke: #333846 }
.live { fill: #191c24; stroke: #565d6e }
.state { fill: #262d52; stroke: #5763a8 }
.over { fill: #42211f; stroke: #94504b }
.line { stroke: #9fabff }
.point { fill: #9fabff }
.end { stroke: #ff9d94 }
.end-point { fill: #ff9d94 }
}
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A state: where its box stands, and the lines beneath its name."""

    state: str
    top: int
    lines: tuple[str, ...]

    @property
    def bottom(self) -> int:
        return self.top + 34 + LINE * len(self.lines)

    @property
    def middle(self) -> int:
        return (self.top + self.bottom) // 2

    def svg(self) -> str:
        left, right, kind = BOX_LEFT, BOX_RIGHT, "state"
        if self.state == ENDED:
            left, right, kind = 24, WIDTH - 24, "over"
        return "".join(
            [
                f'<rect class="{kind}" x="{left}" y="{self.top}" width="{right - left}"'
                f' height="{self.bottom - self.top}" rx="10"/>',
                text(left + 14, self.top + 24, self.state, kind="name"),
                text(left + 14, self.top + 24 + LINE, self.lines[0], kind="muted"),
                texts(left + 14, self.top + 24 + 2 * LINE, self.lines[1:]),
            ]
        )


def text(x: int, y: int, words: str, *, kind: str = "", anchor: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    anchor = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text{kind} x="{x}" y="{y}"{anchor}>{escape(words)}</text>'


def texts(x: int, y: int, lines: Iterable[str], *, anchor: str = "") -> str:
    return "".join(text(x, y + LINE * number, line, anchor=anchor) for number, line in enumerate(lines))


def arrow(path: str, x: int, y: int, towards: str, *, kind: str = "") -> str:
    """Draw a line and its head, whose point is at ``x``, ``y``; ``path`` leads to just before it."""
    head = {"down": "l-5 -9h10z", "up": "l-5 9h10z", "right": "l-9 -5v10z"}[towards]
    line, point = ("line end", "end-point") if kind == "end" else ("line", "point")
    return f'<path class="{line}" d="{path}"/><path class="{point}" d="M{x} {y}{head}"/>'


def drop(x: int, top: int, bottom: int, *, kind: str = "") -> str:
    """Draw an arrow straight down."""
    return arrow(f"M{x} {top}V{bottom - 8}", x, bottom, "down", kind=kind)


def packed(lead: str, words: Iterable[str], most: int = 42) -> tuple[str, ...]:
    """Put labels into as few lines as hold them."""
    lines = [lead]
    for word in words:
        if lines[-1] != lead and len(f"{lines[-1]} {word}") > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word},".strip()
    return (*lines[:-1], lines[-1].rstrip(","))


def boxes(found: Mapping[Step, set[Transition]]) -> dict[str, Box]:
    """Return the boxes from top to bottom, each with the transitions that leave its state as it is."""
    placed: dict[str, Box] = {}
    top = 92
    for state in STATES:
        top += 54 + LINE if state == ENDED else 0
        stays = packed("stays so:", labels(found[state, state]))
        placed[state] = Box(state, top, (MEANING[state], *stays))
        top = placed[state].bottom + GAP
    return placed


def description(found: Mapping[Step, set[Transition]]) -> str:
    """Say in words what the picture shows."""
    said = [f"PENDING is where {OPENING}."]
    for source, target in product(STATES, STATES):
        if (source, target) in found:
            path = f"Stays {source}" if source == target else f"From {source} to {target}"
            named = labels(found[source, target], ending=(target == ENDED))
            named += [CONFIRMATION] if (source, target) == (PENDING, CONFIRMED) else []
            said.append(f"{path}: {'; '.join(named)}.")
    return " ".join(said)


def among_the_live(found: Mapping[Step, set[Transition]], box: Mapping[str, Box]) -> Iterator[str]:
    """Yield the arrows between the states of a live session, and the one that opens it."""
    pending, confirmed, struck = (box[state] for state in LIVE)
    yield f'<circle class="point" cx="{DOWN}" cy="22" r="6"/>'
    yield drop(DOWN, 22, pending.top)
    yield text(DOWN + 14, 27, OPENING, kind="muted")
    yield drop(DOWN, pending.bottom, confirmed.top)
    yield texts(DOWN + 10, pending.bottom + 30, [*labels(found[PENDING, CONFIRMED]), CONFIRMATION])
    yield drop(DOWN, confirmed.bottom, struck.top)
    yield texts(DOWN + 10, confirmed.bottom + 39, labels(found[CONFIRMED, STRUCK]))
    yield arrow(f"M{UP} {confirmed.top}V{pending.bottom + 8}", UP, pending.bottom, "up")
    yield texts(UP + 10, pending.bottom + 30, labels(found[CONFIRMED, PENDING]))
    rail = f"H{BACK_RAIL + 8}q-8 0 -8 -8V{pending.middle + 8}q0 -8 8 -8H{BOX_LEFT - 8}"
    yield arrow(f"M{BOX_LEFT} {struck.middle}{rail}", BOX_LEFT, pending.middle, "right")
    yield texts(BACK_RAIL + 10, confirmed.bottom + 30, labels(found[STRUCK, PENDING]))


def to_the_end(
    found: Mapping[Step, set[Transition]], box: Mapping[str, Box], live_bottom: int
) -> Iterator[str]:
    """Yield the arrows to ENDED: what every live state shares, then what one has of its own."""
    pending, _, struck, ended = (box[state] for state in STATES)
    shared = set.intersection(*(found[state, ENDED] for state in LIVE))
    if found[CONFIRMED, ENDED] != shared:
        raise ValueError("CONFIRMED ends in a way of its own, which has no place in the picture")
    first = live_bottom + 24
    yield drop(ENDS, live_bottom, ended.top, kind="end")
    yield texts(ENDS + 10, first, ["from each:", *labels(shared, ending=True)])
    yield drop(DOWN, struck.bottom, ended.top, kind="end")
    yield texts(DOWN + 10, first, own(found[STRUCK, ENDED] - shared, 13))
    rail = f"M{BOX_RIGHT} {pending.middle}H{END_RAIL - 8}q8 0 8 8V{ended.top - 8}"
    yield arrow(rail, END_RAIL, ended.top, "down", kind="end")
    yield texts(END_RAIL - 10, first + 3 * LINE, own(found[PENDING, ENDED] - shared, 16), anchor="end")


def own(found: Iterable[Transition], width: int) -> list[str]:
    return [line for words in labels(found, ending=True) for line in wrap(words, width)]


def svg(found: Mapping[Step, set[Transition]]) -> str:
    """Return the picture of these transitions.

    Raises:
        ValueError: the picture has no place for one of the paths.
    """
    places = {(state, state) for state in STATES} | {(state, ENDED) for state in LIVE}
    places |= {(PENDING, CONFIRMED), (CONFIRMED, PENDING), (CONFIRMED, STRUCK), (STRUCK, PENDING)}
    if places != set(found):
        raise ValueError(f"paths without a place, or places without a path: {sorted(places ^ set(found))}")
    box = boxes(found)
    live_bottom, height = box[STRUCK].bottom + 20, box[ENDED].bottom + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title desc">',
        '<title id="title">What a refresh token does to its session</title>',
        f'<desc id="desc">{escape(description(found))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="12"/>',
        f'<rect class="live" x="16" y="50" width="{WIDTH - 32}" height="{live_bottom - 50}" rx="14"/>',
        text(30, 74, "LIVE", kind="name"),
        *among_the_live(found, box),
        *to_the_end(found, box, live_bottom),
        *(each.svg() for each in box.values()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def draw(into: Path) -> None:
    """Draw the picture into a folder."""
    into.mkdir(parents=True, exist_ok=True)
    (into / NAME).write_text(svg(transitions()), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the state machine of refresh tokens from the code.")
    parser.add_argument("--into", type=Path, default=IMAGES, help="the folder; default: docs/images")
    draw(parser.parse_args().into)


if __name__ == "__main__":
    main()
