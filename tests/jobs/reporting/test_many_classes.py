"""A report on many classes is drawn in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs.reporting.figures.classes import MOST_PIXELS, draw_confusion
from jobs.reporting.figures.style import DPI, Figures
from jobs.reporting.sources import load_sources
from jobs.reporting.views import confusion
from jobs.reporting.views.confusion import ONE_UP_TO, build_confusion
from tests.jobs.reporting import drawn
from tests.jobs.reporting.drawn import Trained, draw_study


@pytest.mark.parametrize(("classes", "every"), [(120, 1), (193, 2), (1000, 6)])
def test_a_confusion_matrix_is_bounded(classes: int, every: int) -> None:
    """Fails when the drawing grows with the classes again: its memory grows with the square of its side."""
    names = [f"class {number}" for number in range(classes)]
    figure = draw_confusion(np.eye(classes, dtype=int), names)
    assert max(figure.get_size_inches()) * DPI <= MOST_PIXELS + 200
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert shown == names[::every]


@pytest.mark.parametrize(("classes", "there"), [(6, True), (7, False)])
def test_the_page_has_no_matrix_of_very_many_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: int, there: bool
) -> None:
    """Fails when a page has a cell for each pair of a thousand classes: a browser lays out a million of them in 20 s."""
    monkeypatch.setattr(confusion, "ONE_UP_TO", 6)
    monkeypatch.setattr(drawn, "TRAIN", 4)
    names = [f"class {number}" for number in range(classes)]
    (run,) = load_sources(draw_study(tmp_path, names, [Trained("cnn", 1.0)], 60).context()).runs
    found = build_confusion(run, names, Figures(tmp_path), first=True)
    assert bool(found.rows) is there
    assert found.pairs
    assert (tmp_path / f"{found.figure.name}.svg").exists()
    assert ONE_UP_TO**2 < 100_000
