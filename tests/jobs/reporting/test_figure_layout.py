"""A figure is laid out without being drawn for it, and looks as if it had been."""

from __future__ import annotations

import io
import pickle
import re
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from jobs.reporting.figures.classes import draw_confusion, draw_recalls
from jobs.reporting.figures.style import PAPER, canvas, lay_out, write_figure


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None}, facecolor=PAPER)
    return written.getvalue()


def test_the_layout_is_that_of_a_drawn_figure(tmp_path: Path) -> None:
    """Mutations tried: no layout; the engine left in place, which lays out again at each file."""
    with canvas(420, 260) as (figure, axes):
        axes.bar(["a class of a long name", "another"], [1234567, 3])
        axes.set_xlabel("what it was taken for")
        axes.set_ylabel("photographs")
        axes.tick_params(axis="x", labelrotation=60)
        figure.legend(["bars"], loc="outside upper right")
        drawn: Figure = pickle.loads(pickle.dumps(figure))
        drawn.draw_without_rendering()
        drawn.set_layout_engine(None)
        lay_out(figure)
        assert figure.get_layout_engine() is None
        assert _svg(figure) == _svg(drawn)
    assert write_figure(figure, "bars", "two bars", tmp_path).svg


NAMES = [
    "$5 to $10",
    "$\\frac{$",
    "$a_b$",
    "\\$",
    "_hidden",
    "#0b62a4",
    ' id="x" font-family: y; href="#',
    "</svg><script>alert(1)</script>",
    "&amp;",
    "bell\x07\uffff",
    "\u202eabc",
    "猫",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_class_stands_in_a_figure_as_it_is_called(name: str, tmp_path: Path) -> None:
    """Fails when matplotlib takes it for a formula, which ended the report of a class "$\\frac{$" as a bug; when a colour or an
    id in it is changed with those of the page; or when the file is no XML.
    """
    seen = re.sub("[\x07\uffff]", "\ufffd", name)
    figures = (draw_confusion(np.array([[3, 1], [2, 4]]), [name, "b"]), draw_recalls([name, "b"], [(0.5, 0.2, 0.8)] * 2))
    for figure in figures:
        drawn = write_figure(figure, "classes", "what it shows", tmp_path)
        texts = [text.text for text in ElementTree.parse(tmp_path / "classes.svg").iter("{http://www.w3.org/2000/svg}text")]
        assert seen in texts
        assert seen in [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawn.svg)]
