"""Domains in two dimensions, before and after they were brought together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from jobs.reporting.figures.style import SERIES, WIDEST, sheet

Places = Mapping[str, Sequence[Sequence[float]]]
MARKERS = ("o", "^", "s", "D", "v")


def draw_domains(panels: Mapping[str, Places]) -> Figure:
    """A panel each: the first two principal components of images of every domain, told apart by colour and by shape."""
    with sheet(WIDEST, WIDEST / len(panels) + 40) as figure:
        for number, (title, domains) in enumerate(panels.items(), start=1):
            axes = figure.add_subplot(1, len(panels), number)
            for place, (name, rows) in enumerate(domains.items()):
                axes.plot(
                    [row[0] for row in rows],
                    [row[1] for row in rows],
                    linestyle="none",
                    marker=MARKERS[place % len(MARKERS)],
                    markersize=4,
                    alpha=0.6,
                    color=SERIES[place % len(SERIES)],
                    label=name if number == 1 else None,
                )
            axes.set_title(title)
            axes.set_xticks([])
            axes.set_yticks([])
        figure.legend(loc="outside lower left", ncols=2)
        return figure
