"""A figure is laid out without being drawn for it, and looks as if it had been."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

from matplotlib.figure import Figure

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
