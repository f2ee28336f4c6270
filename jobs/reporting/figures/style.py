"""How figures look, and how they are written: SVG and PNG files, and SVG for the page that follows its colours.

Sizes are in CSS pixels: a unit of the SVG is one pixel of a page that shows it at its own width. Equal data gives equal bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DPI = 72
PNG_SCALE = 2
MOST_PNG_PIXELS = 2600
"""Of a side: a PNG of 5,000 took 1 GiB to draw. Larger figures are as many pixels as they are wide, or the most."""
WIDEST = 380  #: px of a figure that fits its column; a phone shows one of this width with letters that can be read
INK, MUTED, GRID, PAPER = "#1d2433", "#5d6678", "#d5dae3", "#fefefe"
SERIES = ("#0b62a4", "#c2500a", "#0b7a5c", "#8c4a9e", "#8a6d00", "#3f8fb0", "#a33a52", "#4d5566")
"""Told apart by most colour-blind eyes; lines also differ in dashes."""
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1.5)), "-", (0, (5, 2)), (0, (1, 1.5)))

NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that a name may have and an XML file may not (https://www.w3.org/TR/xml/#charsets)."""

TEXT = re.compile(r"(?<=>)([^<>]*[^<>\s][^<>]*)(?=<)")  #: of an SVG: what stands between two tags

CSS = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", PAPER: "none"}
CSS |= {colour: f"var(--series-{place})" for place, colour in enumerate(SERIES, start=1)}

SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "tlbatch",
    "svg.fonttype": "none",
    "figure.dpi": DPI,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$5 to $10"
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.handlelength": 2.2,
}


class Figures:
    """Writes the figures of a report into one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, alt: str, figure: Figure) -> Drawn:
        """``name`` becomes the files' name; ``alt`` says what the figure shows, with its numbers."""
        return write_figure(figure, re.sub(r"[^a-z0-9-]+", "-", name.lower()), alt, self._folder)


@dataclass(frozen=True)
class Drawn:
    """A figure as the page shows it: inline SVG of natural ``width`` x ``height`` px."""

    name: str
    alt: str
    svg: str
    width: float
    height: float


@contextmanager
def sheet(width: float, height: float) -> Iterator[Figure]:
    """A figure with no axes yet, under the report's settings."""
    with mpl.rc_context(SETTINGS):
        yield Figure(figsize=(width / DPI, height / DPI), layout="constrained")


@contextmanager
def canvas(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one axes, under the report's settings."""
    with sheet(width, height) as figure:
        yield figure, figure.add_subplot()


def write_figure(figure: Figure, name: str, alt: str, folder: Path) -> Drawn:
    """``<folder>/<name>.svg`` and ``.png``; returns the figure for the page. ``alt`` says what it shows, with its numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(SETTINGS):
        buffer = io.StringIO()
        lay_out(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, facecolor=PAPER)
        svg = NO_XML.sub("\ufffd", buffer.getvalue())
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        scale = min(PNG_SCALE, MOST_PNG_PIXELS / (max(figure.get_size_inches()) * DPI))
        figure.savefig(folder / f"{name}.png", dpi=DPI * scale, metadata={"Software": None}, facecolor=PAPER)
    width, height = (float(side) * DPI for side in figure.get_size_inches())
    return Drawn(name, alt, inline_svg(svg, name, alt), width, height)


def lay_out(figure: Figure) -> None:
    """Once, for both files; matplotlib would do it at each, and draws a figure in full where it is asked for that alone."""
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    figure.set_layout_engine(None)


def inline_svg(svg: str, name: str, alt: str) -> str:
    """An SVG file as part of a page: ids of its own, the page's colours and font, a text for those who cannot see it. Pure."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    pieces = TEXT.split(body)  # every other is a text, somebody's name, which stays as it is
    pieces[::2] = [_inline_tags(tags, name) for tags in pieces[::2]]
    body = "".join(pieces)
    box = re.search(r'viewBox="([^"]+)"', body)
    start = f'<svg role="img" aria-labelledby="{name}-title" viewBox="{box.group(1) if box else ""}" class="figure">'
    title = f'<title id="{name}-title">{escape(alt)}</title>'
    return re.sub(r"\s*\n\s*", "\n", start + title + body[body.index(">") + 1 :])


def _inline_tags(tags: str, name: str) -> str:
    tags = re.sub(r'(?<= )id="([^"]+)"', rf'id="{name}-\1"', tags)
    tags = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", tags)
    tags = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", tags)
    tags = re.sub(r"font-family: [^;\"]*;?", "", tags)
    for colour, variable in CSS.items():
        tags = tags.replace(colour, variable)
    return tags
