"""ROC curves, and accuracy against coverage: one line a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jobs.reporting.figures.style import DASHES, GRID, MUTED, SERIES, canvas
from tlbatch import nouns

LEGEND_ROW = 17


@dataclass(frozen=True)
class Line:
    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0  #: place in the palette, so that a run has one colour throughout


def draw_roc(lines: Sequence[Line]) -> Figure:
    """True against false positives; the diagonal is chance."""
    with canvas(340, 345 + LEGEND_ROW * len(lines)) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=GRID, linewidth=1.2)
        _plot(axes, lines)
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        figure.legend(loc="outside upper left")
        return figure


def draw_coverage(lines: Sequence[Line]) -> Figure:
    """Accuracy (%) on the most confident share (%) of the test images."""
    with canvas(340, 250 + LEGEND_ROW * len(lines)) as (figure, axes):
        _plot(axes, lines)
        axes.set_xlabel(f"answered: most confident share of {nouns.items()}, %")
        axes.set_ylabel("accuracy on these, %")
        figure.legend(loc="outside upper left")
        return figure


def draw_reliability(bins: Sequence[tuple[float, float]], calibrated: Sequence[tuple[float, float]]) -> Figure:
    """(confidence, accuracy) of bins of equal mass, before and after temperature scaling; on the diagonal both agree."""
    points = [*bins, *calibrated]
    low = min([0.95, *(min(point) for point in points)])
    start = max(0.0, low - 0.05)
    with canvas(340, 375) as (figure, axes):
        axes.plot([start, 1], [start, 1], color=MUTED, linewidth=1)
        for place, (label, found) in enumerate((("as trained", bins), ("after temperature scaling", calibrated))):
            if found:
                style: dict[str, Any] = {
                    "color": SERIES[place],
                    "linestyle": DASHES[place],
                    "marker": "os"[place],
                    "markersize": 4.5,
                }
                axes.plot([p[0] for p in found], [p[1] for p in found], label=label, linewidth=1.4, **style)
        axes.set_xlim(start, 1.01)
        axes.set_ylim(start, 1.01)
        axes.set_xlabel("confidence")
        axes.set_ylabel("share right")
        figure.legend(loc="outside upper left")
        return figure


def _plot(axes: Axes, lines: Sequence[Line]) -> None:
    for line in lines:
        style: dict[str, Any] = {"color": SERIES[line.colour % len(SERIES)], "linestyle": DASHES[line.colour % len(DASHES)]}
        axes.plot(line.x, line.y, label=line.label, **style)
