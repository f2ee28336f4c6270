"""Dots with their 95 % intervals: what each run scores, and by how much runs differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from jobs.reporting.figures.style import INK, MUTED, PAPER, SERIES, canvas

ROW = 36


@dataclass(frozen=True)
class Estimate:
    """One line. ``kind``: run, control, zero_label, or a verdict; ``low``/``high`` None where there is no interval."""

    label: str
    value: float
    low: float | None
    high: float | None
    text: str
    kind: str = "run"


COLOURS = {
    "control": SERIES[7],
    "zero_label": SERIES[4],
    "better": SERIES[2],
    "worse": SERIES[1],
    "no difference shown": SERIES[7],
}
MARKERS = {"control": "s", "zero_label": "D", "better": "^", "worse": "v", "no difference shown": "o"}


def draw_intervals(rows: Sequence[Estimate], unit: str, zero: bool = False) -> Figure:
    """A line a row, its label above it; values are drawn in the unit named. ``zero`` marks where there is no difference."""
    with canvas(360, 40 + ROW * len(rows)) as (figure, axes):
        for place, row in enumerate(rows):
            y, colour, marker = -place, COLOURS.get(row.kind, SERIES[0]), MARKERS.get(row.kind, "o")
            if zero:
                axes.plot([0, 0], [y - 0.26, y + 0.2], color=INK, linewidth=1.4)
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="round")
            axes.plot([row.value], [y], color=colour, marker=marker, markersize=7, markeredgecolor=PAPER, markeredgewidth=0)
            axes.text(0, y + 0.24, row.label, transform=axes.get_yaxis_transform(), color=INK, va="bottom", fontsize=10)
            axes.text(1, y + 0.24, row.text, transform=axes.get_yaxis_transform(), color=MUTED, va="bottom", ha="right")
        axes.set_ylim(-len(rows) + 0.55, 0.9)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.06)
        axes.set_xlabel(unit)
        return figure
