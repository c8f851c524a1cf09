"""Draws the figures of ``benchmarks.request``; the same figures give the same file, byte for byte.

python -m benchmarks.chart figures.json docs/images/requests.svg
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

#: A name, how many times the floor, and the seconds until a logout was seen (None: not until it expires).
Bar = tuple[str, float, "float | None"]

INK, MUTED = "#1f2328", "#59636e"
AT_ONCE, WITHIN, NEVER = "#1a7f5a", "#7cc4a4", "#c9ced4"
LEGEND = (
    (AT_ONCE, "at its next request"),
    (WITHIN, "within a second"),
    (NEVER, "not before its token expires"),
)


def color(logout: float | None) -> str:
    if logout is None:
        return NEVER
    return AT_ONCE if logout == 0 else WITHIN


def draw(bars: Sequence[Bar], path: str, floor: str = "no authentication") -> None:
    """Write a horizontal bar chart as SVG: the cheapest on top, ours in bold, the floor as a line at 1."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "authx", "font.family": "DejaVu Sans", "font.size": 10})
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    shown = sorted((bar for bar in bars if bar[0] != floor), key=lambda bar: bar[1], reverse=True)
    names, multiples, logouts = zip(*shown, strict=True)
    figure, axes = pyplot.subplots(figsize=(8.4, 0.9 + 0.31 * len(shown)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    drawn = axes.barh(names, multiples, height=0.66, color=[color(logout) for logout in logouts])
    axes.bar_label(drawn, labels=list(map(times, multiples)), padding=5, color=INK)
    axes.axvline(1, color=INK, linewidth=1, linestyle=(0, (3, 2)))
    axes.set_xlim(0, max(multiples) * 1.09)
    axes.set_xlabel("times the same view without authentication (dashed line); median", color=MUTED)
    _quiet(axes, names)
    handles = [Patch(color=shade, label=words) for shade, words in LEGEND]
    legend = axes.legend(handles=handles, title="A logout is seen", loc="upper right", frameon=False)
    legend.set_alignment("left")
    figure.savefig(path, metadata={"Date": None, "Creator": None}, facecolor="white")
    pyplot.close(figure)


def times(value: float) -> str:
    """Two digits where the differences are small."""
    return f"{value:.1f}\N{MULTIPLICATION SIGN}" if value >= 2 else f"{value:.2f}\N{MULTIPLICATION SIGN}"


def _quiet(axes, names) -> None:  # type: ignore[no-untyped-def]
    """No frame and no scale, for every bar says its value; our own names in bold."""
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(length=0)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_color(INK)
        label.set_fontweight("bold" if name.startswith("authx") else "normal")


def main() -> None:
    figures, path = sys.argv[1:]
    with open(figures) as file:
        draw([(one["name"], one["multiple"], one["logout"]) for one in json.load(file)], path)


if __name__ == "__main__":
    main()
