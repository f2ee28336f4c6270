"""Accuracy by labels a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from jobs.reporting.figures.style import SERIES, WIDEST, canvas

LEGEND_ROW = 17
BAND, CONTROL_BAND = 0.18, 0.10


@dataclass(frozen=True)
class CurveLine:
    """``points``: labels a class, and {value, low, high}; ``law`` {a, b, c, fitted} and what it predicts of ``twice`` as many.

    A control has the colour of its run, and dots; what was trained from ``scratch`` dashes and dots, and open marks.
    """

    label: str
    points: Sequence[tuple[int, Mapping[str, Any]]]
    colour: int
    control: bool = False
    law: Mapping[str, Any] | None = None
    twice: Mapping[str, Any] | None = None
    scratch: bool = False


def draw_label_curves(lines: Sequence[CurveLine]) -> Figure:
    """Bands are 95 % intervals; dashes the fitted law, up to what it predicts."""
    with canvas(WIDEST, 260 + LEGEND_ROW * len(lines)) as (figure, axes):
        for line in lines:
            _draw(axes, line)
        ticks = sorted(
            {labels for line in lines for labels, _ in line.points} | {each.twice["labels"] for each in lines if each.twice}
        )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_ylim(top=min(101.0, axes.get_ylim()[1]))
        axes.set_xlabel("labels a class")
        axes.set_ylabel("test accuracy, %")
        figure.legend(loc="outside upper left")
        return figure


def _draw(axes: Axes, line: CurveLine) -> None:
    colour = SERIES[line.colour % len(SERIES)]
    labels = [each for each, _ in line.points]
    value, low, high = (100 * np.array([found[name] for _, found in line.points]) for name in ("value", "low", "high"))
    beside = line.control or line.scratch
    axes.fill_between(labels, low, high, color=colour, alpha=CONTROL_BAND if beside else BAND, linewidth=0)
    dashes = (0, (1, 1.5)) if line.control else (0, (6, 1.5, 1, 1.5)) if line.scratch else "-"
    style: dict[str, Any] = {"color": colour, "linestyle": dashes, "markersize": 5 if line.scratch else 4}
    if line.scratch:
        style["markerfacecolor"] = "white"
    axes.plot(labels, value, marker="s" if line.control else "^" if line.scratch else "o", label=line.label, **style)
    if line.law is None or line.twice is None:
        return
    law, twice = line.law, line.twice
    x = np.geomspace(law["fitted"][0], twice["labels"], 60)
    y = 100 * np.clip(law["a"] - law["b"] * x ** -law["c"], 0, 1)
    axes.plot(x, y, color=colour, linestyle=(0, (5, 2)), linewidth=1.2, label=f"{line.label}: fitted law, predicted interval")
    found = twice["accuracy"]
    ends = [[100 * (found["value"] - found["low"])], [100 * (found["high"] - found["value"])]]
    axes.errorbar(
        [twice["labels"]], [100 * found["value"]], yerr=ends, color=colour, fmt="D", markersize=4, capsize=4, linewidth=1.2
    )
