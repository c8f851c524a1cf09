"""Where the bars of a chart stand: across in percent, so that text keeps its size on every screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.formats import number_format
from django.utils.translation import get_language_bidi
from django.utils.translation import gettext as _

from authx.admin.overview.periods import Per, Slot
from authx.admin.overview.totals import Totals
from authx.core.reasons import EndReason

#: In pixels: from the top of a chart to its base line, and room above the highest bar for a mark.
BASE: Final = 180
_TOP: Final = 22
#: At most so many lines above the base line.
_MAX_LINES: Final = 4
#: Every how many slots the axis names one.
_TICKS: Final = {Per.HOUR: 3, Per.DAY: 5, Per.WEEK: 2}
#: In percent of a slot: where its two bars begin, and how wide each is.
_BARS: Final = (12, 52)
_BAR_WIDTH: Final = 34


@dataclass(frozen=True, slots=True)
class Rect:
    """One bar, as attributes of SVG: with a point in every language."""

    look: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True)
class Column:
    """One slot: its bars, and its row in the table."""

    slot: Slot
    #: By what they count: ``opened``, ``ended``, ``kicked`` and ``copied``.
    shown: dict[str, str]
    rects: list[Rect]
    #: Where the mark of a copied token stands, if there was one: across and down.
    mark: tuple[str, str] | None
    #: Where the axis names the slot; ``""`` if it does not.
    tick: str

    @property
    def title(self) -> str:
        """Return what a pointer that rests on the bars is told."""
        names = {
            "opened": _("Signed in"),
            "ended": _("Ended by users, time or limits"),
            "kicked": _("Kicked out"),
            "copied": _("Copied token"),
        }
        return "\n".join([self.slot.name, *(f"{name}: {self.shown[key]}" for key, name in names.items())])


@dataclass(frozen=True, slots=True)
class Chart:
    """Sign-ins and endings, slot by slot."""

    columns: list[Column]
    #: For each line across: its height, where its number stands, and the number.
    lines: list[tuple[int, int, str]]


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table whose numbers are drawn as bars."""

    name: Any
    number: str
    x: str
    width: str
    link: str = ""


def chart_of(slots: Sequence[Slot], totals: Totals, per: Per) -> Chart:
    """Return the chart of sign-ins and endings."""
    highest = max([*totals.opened, *(sum(one.values()) for one in totals.ended), 1])
    step = _step(highest)
    top = -(-highest // step) * step
    scale = (BASE - _TOP) / top
    heights = {value: round(BASE - value * scale) for value in range(0, top + 1, step)}
    lines = [(height, height + 4, grouped(value)) for value, height in heights.items()]
    part = 100 / len(slots)
    columns = []
    for number, (slot, opened, reasons) in enumerate(zip(slots, totals.opened, totals.ended, strict=True)):
        kicked, copied = (reasons.get(one, 0) for one in (EndReason.KICKED, EndReason.REUSED))
        ended = sum(reasons.values()) - kicked - copied
        left, right = ((number + begin / 100) * part for begin in _BARS)
        width = part * _BAR_WIDTH / 100
        stacked = [("out", ended), ("kicked", kicked), ("copied", copied)]
        rects = [*_stack(left, width, [("in", opened)], scale), *_stack(right, width, stacked, scale)]
        above = BASE - sum(reasons.values()) * scale - 5
        mark = (_percent(_across(right + width / 2)), f"{above:.1f}") if copied else None
        tick = _percent(_across((number + 0.5) * part)) if number % _TICKS[per] == 0 else ""
        numbers = {"opened": opened, "ended": ended, "kicked": kicked, "copied": copied}
        shown = {key: grouped(value) for key, value in numbers.items()}
        columns.append(Column(slot, shown, rects, mark, tick))
    return Chart(columns, lines)


def lines_of(numbers: Mapping[str, int], names: Any, links: Mapping[str, str] | None = None) -> list[Line]:
    """Return a row for each number, the largest first; ``names`` is a function from its key to a text."""
    largest = max(numbers.values(), default=0)
    found = []
    for key, number in sorted(numbers.items(), key=lambda item: (-item[1], item[0])):
        width = max(100 * number / largest, 0.5)
        x = _percent(100 - width) if get_language_bidi() else "0"
        found.append(Line(names(key), grouped(number), x, _percent(width), (links or {}).get(key, "")))
    return found


def grouped(number: int) -> str:
    """Return a number as people read large ones."""
    return number_format(number, force_grouping=True)


def _step(highest: int) -> int:
    """Return the distance of the lines: 1, 2 or 5 with as many zeros as it takes for a few of them."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if highest <= digit * power * _MAX_LINES:
                return digit * power
        power *= 10


def _stack(x: float, width: float, parts: Iterable[tuple[str, int]], scale: float) -> list[Rect]:
    """Return bars on top of each other; what there is one of can be seen."""
    found, base = [], float(BASE)
    for look, number in parts:
        if number:
            height = max(number * scale, 1.0)
            base -= height
            left = x if not get_language_bidi() else 100 - x - width
            found.append(Rect(look, _percent(left), f"{base:.1f}", _percent(width), f"{height:.1f}"))
    return found


def _across(x: float) -> float:
    return 100 - x if get_language_bidi() else x


def _percent(value: float) -> str:
    return f"{value:.2f}%"
