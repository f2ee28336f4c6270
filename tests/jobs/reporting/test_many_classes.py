"""A report on many classes is drawn in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.reporting.figures.classes import MOST_PIXELS, draw_confusion
from jobs.reporting.figures.style import DPI


@pytest.mark.parametrize(("classes", "every"), [(120, 1), (193, 2), (1000, 6)])
def test_a_confusion_matrix_is_bounded(classes: int, every: int) -> None:
    """Fails when the drawing grows with the classes again: its memory grows with the square of its side."""
    names = [f"class {number}" for number in range(classes)]
    figure = draw_confusion(np.eye(classes, dtype=int), names)
    assert max(figure.get_size_inches()) * DPI <= MOST_PIXELS + 200
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert shown == names[::every]
