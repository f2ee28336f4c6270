"""Training and validation curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jobs.reporting.curves import Curves
from jobs.reporting.figures.style import DASHES, INK, MUTED, SERIES, canvas

QUANTITIES = {"accuracy": "accuracy, %", "loss": "log loss"}


def draw_curves(curves: Curves, quantity: str) -> Figure:
    """``quantity``: accuracy or loss. The line is the mean over trainings, the band their range, the mark the kept epoch."""
    scale = 100 if quantity == "accuracy" else 1
    epochs = np.arange(1, curves.epochs + 1)
    with canvas(360, 220) as (figure, axes):
        for place, part in enumerate(("train", "validation")):
            values = scale * curves.values[f"{part}_{quantity}"]
            if len(values) > 1:
                low, high = values.min(axis=0), values.max(axis=0)
                axes.fill_between(epochs, low, high, color=SERIES[place], alpha=0.18, linewidth=0)
            style: dict[str, Any] = {
                "color": SERIES[place],
                "linestyle": DASHES[place],
                "label": part if part != "train" else "training",
            }
            axes.plot(epochs, values.mean(axis=0), marker="o" if len(epochs) == 1 else None, **style)
        if len(set(curves.selected)) == 1 and curves.selected[0] <= curves.epochs:
            axes.axvline(curves.selected[0], color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        axes.set_xlabel("epoch")
        axes.set_title(QUANTITIES[quantity], color=INK, pad=22)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncol=2, borderaxespad=0.1)
        return figure


def draw_overlaid(lines: Sequence[tuple[str, int, Curves]], quantity: str) -> Figure:
    """Validation curves of several trainings in one frame: (label, place in the palette, curves) each, means over seeds.

    A dot marks the epoch that was kept, where all seeds kept the same one.
    """
    scale = 100 if quantity == "accuracy" else 1
    with canvas(360, 220) as (figure, axes):
        for label, place, curves in lines:
            values = scale * curves.mean(f"validation_{quantity}")
            epochs = np.arange(1, curves.epochs + 1)
            style: dict[str, Any] = {"color": SERIES[place % len(SERIES)], "linestyle": DASHES[place % len(DASHES)]}
            axes.plot(epochs, values, label=label, marker="o" if len(epochs) == 1 else None, **style)
            kept = curves.selected[0] if len(set(curves.selected)) == 1 else 0
            if 1 <= kept <= len(values):
                axes.plot([kept], [values[kept - 1]], marker="o", markersize=5.5, color=style["color"])
        axes.set_xlabel("epoch")
        axes.set_title(f"validation {QUANTITIES[quantity]}", color=INK, pad=22)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncol=4, borderaxespad=0.1)
        return figure
