"""Per class: how much of it is found, and what it is taken for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from jobs.reporting.figures.style import INK, SERIES, canvas

COUNTS_UP_TO = 15  #: classes up to which counts are written into the cells
AROUND_UP_TO = 40  #: classes up to which names stand on all four sides: they take most of the drawing's time
MOST_PIXELS = 2400  #: of the matrix a side: memory grows with its square (16 GB for a thousand classes at 12.5 a class)
HEAT = LinearSegmentedColormap.from_list("heat", ["#f4f7fb", "#9cc3e0", "#3b83bd", "#08306b"])


def draw_recalls(names: Sequence[str], recalls: Sequence[tuple[float, float | None, float | None]]) -> Figure:
    """Recall (%) of every class with its interval, as bars; (value, low, high) as fractions, in the order given."""
    longest = max(len(name) for name in names)
    with canvas(360, 46 + 17 * len(names)) as (figure, axes):
        places = -np.arange(len(names))
        axes.barh(places, [100 * recall[0] for recall in recalls], height=0.66, color=SERIES[0], alpha=0.85)
        for place, (_, low, high) in zip(places, recalls, strict=True):
            if low is not None and high is not None:
                axes.plot([100 * low, 100 * high], [place, place], color=INK, linewidth=1.3)
        axes.set_yticks(places, names, fontsize=9.5 if longest < 24 else 8)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_xlim(0, 100)
        axes.set_ylim(places[-1] - 0.6, 0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("recall, %")
        return figure


def draw_confusion(confusion: np.ndarray, names: Sequence[str]) -> Figure:
    """Rows truth, columns predicted; the shade follows the square root of the share of the row, so that rare ones show."""
    n = len(names)
    cell = min(34 if n <= COUNTS_UP_TO else 12.5 if n > 40 else 20, MOST_PIXELS / n)
    step = math.ceil(12.5 / cell) if cell < 12.5 else 1  # where there is no room for every name, each so many-th stands
    label = min(max(len(name) for name in names), 28) * 5.6 + 24
    side = cell * n + label * (2 if COUNTS_UP_TO < n <= AROUND_UP_TO else 1) + 10
    with canvas(side, side) as (figure, axes):
        shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
        axes.imshow(np.sqrt(shares), cmap=HEAT, vmin=0, vmax=1, interpolation="none")
        size = 10 if n <= COUNTS_UP_TO else 9
        axes.set_xticks(range(0, n, step), names[::step], rotation=90, fontsize=size)
        axes.set_yticks(range(0, n, step), names[::step], fontsize=size)
        around = COUNTS_UP_TO < n <= AROUND_UP_TO  # a large matrix is scrolled: names on all sides
        axes.tick_params(length=0, labelcolor=INK, labelright=around, labeltop=around)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        for row, column in np.argwhere(confusion > 0) if n <= COUNTS_UP_TO else []:
            colour = "#ffffff" if shares[row, column] > 0.3 else "#10131a"
            axes.text(column, row, f"{confusion[row, column]:,}", ha="center", va="center", color=colour, fontsize=9)
        return figure
