"""Accuracy against coverage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from jobs.metrics.coverage import coverage_curve
from jobs.statistics.predictions import Predictions

Draw = Callable[..., Predictions]


def _binary(confidence: list[float], right: list[bool]) -> Predictions:
    p = np.array(confidence)
    return Predictions(np.array(right).astype(np.int64), np.stack([1 - p, p], axis=1), np.arange(len(p)))


def test_by_hand() -> None:
    curve = coverage_curve(_binary([0.9, 0.8, 0.7, 0.6], [True, True, False, True]))
    assert [(point["n"], point["accuracy"], point["threshold"]) for point in curve["points"]] == [
        (1, 1.0, 0.9),
        (2, 1.0, 0.8),
        (3, pytest.approx(2 / 3), 0.7),
        (4, 0.75, 0.6),
    ]
    assert curve["aurc"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)


def test_equal_confidences_come_in_together() -> None:
    curve = coverage_curve(_binary([0.9, 0.8, 0.8, 0.8], [True, False, True, True]))
    assert [point["n"] for point in curve["points"]] == [1, 4]
    other = coverage_curve(_binary([0.9, 0.8, 0.8, 0.8], [True, True, True, False]))
    assert curve == other  # the order of ties does not matter


def test_ends_with_all_images_and_their_accuracy(draw: Draw) -> None:
    p = draw(n=777)
    points = coverage_curve(p)["points"]
    assert len(points) == 50
    assert points[-1]["coverage"] == 1.0
    assert points[-1]["accuracy"] == pytest.approx(p.right.mean())
    assert points[0]["accuracy"] > points[-1]["accuracy"]
