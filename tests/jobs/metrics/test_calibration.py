"""Calibration: equal-mass bins, what a perfect model shows, temperature scaling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from jobs.metrics.calibration import (
    BINS,
    bins_of,
    expected_calibration_error,
    fit_temperature,
    log_softmax,
    perfect_of,
    reliability,
    softmax,
)
from jobs.statistics.calibrated import perfect_error
from jobs.statistics.predictions import Predictions

Draw = Callable[..., Predictions]


def _calibrated(n: int, seed: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, 3] and labels drawn from their softmax; ``sharpness`` multiplies the logits afterwards."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(scale=2.0, size=(n, 3))
    labels = (chance.random(n)[:, None] > softmax(logits).cumsum(axis=1)).sum(axis=1)
    return logits * sharpness, labels


def test_bins_have_equal_mass_and_never_part_equals() -> None:
    chance = np.random.default_rng(0)
    assert set(np.bincount(bins_of(chance.random(1500)))) == {100}
    assert abs(np.diff(np.bincount(bins_of(chance.random(100))))).max() <= 1
    tied = np.round(chance.random(500), 1)
    for value in np.unique(tied):
        assert len(set(bins_of(tied)[tied == value])) == 1
    assert bins_of(np.ones(7)).tolist() == [0] * 7


def test_error_by_hand() -> None:
    confidence = np.repeat([0.6, 0.9], [10, 10])
    right = np.array([True] * 9 + [False] + [True] * 7 + [False] * 3)
    probabilities = np.stack([1 - confidence, confidence], axis=1)
    p = Predictions(right.astype(np.int64), probabilities, np.arange(20))
    assert expected_calibration_error(p.ones())[0] == pytest.approx(0.5 * 0.3 + 0.5 * 0.2)
    found = reliability(p)
    assert [row["n"] for row in found["bins"]] == [10, 10]
    assert [row["accuracy"] for row in found["bins"]] == pytest.approx([0.9, 0.7])


@pytest.mark.parametrize("n", [100, 1000])
def test_a_perfect_model_shows_what_is_said_of_it(n: int) -> None:
    """The mean error over many test sets of a perfectly calibrated model is the expectation stated for one of them."""
    errors, stated, beyond = [], [], 0
    for seed in range(60):
        logits, labels = _calibrated(n, seed)
        p = Predictions(labels, softmax(logits), np.arange(n))
        errors.append(expected_calibration_error(p.ones())[0])
        mean, high = perfect_of(p)
        stated.append(mean)
        beyond += errors[-1] > high
    assert np.mean(errors) == pytest.approx(np.mean(stated), rel=0.06)
    assert beyond <= 8  # 5 % of 60 are 3


def test_perfect_error_shrinks_with_images_and_is_seeded() -> None:
    confidence = np.random.default_rng(0).uniform(0.5, 1.0, 4000)
    few, many = confidence[:400], confidence
    assert perfect_error(many, bins_of(many))[0] < 0.5 * perfect_error(few, bins_of(few))[0]
    assert perfect_error(many, bins_of(many)) == perfect_error(many, bins_of(many))


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_temperature_finds_the_sharpness(sharpness: float) -> None:
    logits, labels = _calibrated(4000, 2, sharpness)
    fitted = fit_temperature(logits, labels)
    assert fitted.value == pytest.approx(sharpness, rel=0.08)
    before, after = (
        reliability(Predictions(labels, p, np.arange(4000))) for p in (softmax(logits), softmax(logits, sharpness))
    )
    if sharpness != 1.0:
        assert after["ece"] < before["ece"] / 3
        assert before["ece"] > before["perfect_high"]
    assert after["ece"] < after["perfect_high"]


def test_a_model_that_is_always_right_is_not_sharpened() -> None:
    """Every sharpening lowers the loss of one that is right on all images: nothing to fit. Softening still can be fitted."""
    labels = np.arange(60) % 3
    fitted = fit_temperature(np.eye(3)[labels] * 2.0, labels)
    assert fitted.value is None
    assert "all 60 validation images are predicted right" in fitted.why


@pytest.mark.parametrize(("scale", "bound"), [(0.01, "0.05"), (3000.0, "20")])
def test_a_temperature_at_its_bound_is_not_fitted(scale: float, bound: str) -> None:
    logits, labels = _calibrated(400, 3)
    logits = logits * scale
    if scale > 1:
        logits = -logits  # sure, and wrong: the flatter the better
    fitted = fit_temperature(logits, labels)
    assert fitted.value is None
    assert f"at the bound, {bound}" in fitted.why
    assert "fitted on" not in fitted.why


def test_too_few_images_for_a_temperature() -> None:
    fitted = fit_temperature(np.eye(3)[[0, 1, 2]], np.array([0, 1, 2]))
    assert fitted.value is None
    assert fitted.why == "3 validation images are too few to fit a temperature"


def test_softmax_of_huge_logits() -> None:
    assert softmax(np.array([[1e4, 0.0], [-1e4, -1e4]])).tolist() == [[1.0, 0.0], [0.5, 0.5]]


def test_fewer_images_than_bins(draw: Draw) -> None:
    found = reliability(draw(n=4))
    assert sum(row["n"] for row in found["bins"]) == 4 <= BINS


def test_log_softmax_is_scipys() -> None:
    from scipy import special

    logits = np.random.default_rng(1).normal(scale=300.0, size=(40, 5))
    np.testing.assert_array_equal(log_softmax(logits), special.log_softmax(logits, axis=1))
