"""Figures that fit a column are narrow enough for a phone: wider ones shrink until nobody can read their letters."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from jobs.advice.page import layers_figure
from jobs.reporting.figures.domains import draw_domains
from jobs.reporting.figures.labels import CurveLine, draw_label_curves
from jobs.reporting.figures.style import DPI, WIDEST
from tests.jobs.advice.test_choice import FLOOR, judged

POINTS = [(labels, {"value": 0.5, "low": 0.4, "high": 0.6}) for labels in (1, 5, 20)]
LAW = {"a": 0.9, "b": 0.4, "c": 0.5, "fitted": [1, 20]}
TWICE = {"labels": 40, "accuracy": {"value": 0.6, "low": 0.5, "high": 0.7}}
PLACES = {"target": [[0.0, 1.0]], "source:of a long name": [[1.0, 0.0]]}
DRAWN = {
    "labels": draw_label_curves([CurveLine("efficientnet-lite0-prototypes", POINTS, 0, law=LAW, twice=TWICE)]),
    "layers": layers_figure([judged("efficientnet_lite0", range(9), others=(range(40),)), FLOOR]),
    "one domain": draw_domains({"before": PLACES}),
    "two domains": draw_domains({"before": PLACES, "after CORAL": PLACES}),
}


@pytest.mark.parametrize("name", DRAWN)
def test_it_is_no_wider_than_a_phone_can_show(name: str) -> None:
    """Breaks when a figure is drawn wider, or when what it says runs out of its frame."""
    figure: Figure = DRAWN[name]
    assert figure.get_figwidth() * DPI <= WIDEST
    figure.draw_without_rendering()
    for text in (text for legend in figure.legends for text in legend.get_texts()):
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1 + 1, text.get_text()
