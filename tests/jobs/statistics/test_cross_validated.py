"""Coverage of what cross-validation says, by simulation: data drawn anew, classifiers trained, truth known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import norm

from jobs.statistics.cross_validated import cross_validated_difference, cross_validated_share, inflation
from jobs.statistics.shares import share_interval
from tests.requirements import CHAOS

FOLDS = 5
SIMULATIONS = 4000 if CHAOS else 300
LEAST = 0.93 if CHAOS else 0.93 - 2 * 0.013  # two standard errors of a coverage of 95 % in so many simulations


@dataclass(frozen=True)
class Drawn:
    """``right`` [2, n] by cross-validation of two feature sets; ``truth`` [2]: what their models are worth on new images."""

    right: np.ndarray
    truth: np.ndarray
    units: np.ndarray


def draw(chance: np.random.Generator, units: int, dims: int, far: tuple[float, float], copies: int) -> Drawn:
    """Two Gaussian classes at +-far in the first dimension, each unit ``copies`` times alike; ridge classifiers."""
    y = np.repeat(np.where(np.arange(units) % 2, 1.0, -1.0), copies)
    unit = np.repeat(np.arange(units), copies)
    fold = chance.permutation(units)[unit] % FOLDS
    base = np.repeat(chance.normal(size=(units, dims)), copies, axis=0)
    own = chance.normal(size=(units * copies, dims)) * 0.3
    right, truth = [], []
    for place, distance in enumerate(far):
        noise = base if place == 0 else 0.8 * base + 0.6 * np.repeat(chance.normal(size=(units, dims)), copies, axis=0)
        x = noise + (own if copies > 1 else 0.0)
        x[:, 0] += distance * y
        said, worth = _cross_validated(x, y, fold, distance, np.sqrt(1.09 if copies > 1 else 1.0))
        right.append(said)
        truth.append(worth)
    return Drawn(np.array(right), np.array(truth), unit)


def _cross_validated(x: np.ndarray, y: np.ndarray, fold: np.ndarray, far: float, sd: float) -> tuple[np.ndarray, float]:
    right, worth = np.empty(len(y), bool), []
    for number in range(FOLDS):
        held = fold == number
        inner, mean = x[~held], x[~held].mean(axis=0)
        w = np.linalg.solve((inner - mean).T @ (inner - mean) + 10 * np.eye(x.shape[1]), (inner - mean).T @ y[~held])
        right[held] = ((x[held] - mean) @ w > 0) == (y[held] > 0)
        shift, reach = far * w[0], mean @ w
        worth.append(norm.cdf((np.array([shift - reach, shift + reach])) / (sd * np.linalg.norm(w))).mean())
    return right, float(np.mean(worth))


SETTINGS = [(100, 20, (0.8, 1.1), 1), (100, 60, (1.2, 1.2), 1), (300, 20, (1.5, 1.9), 1), (60, 10, (1.0, 1.3), 3)]


@pytest.mark.parametrize(("units", "dims", "far", "copies"), SETTINGS)
def test_intervals_cover_what_such_models_are_worth(units: int, dims: int, far: tuple[float, float], copies: int) -> None:
    """Of the accuracy, and of the paired difference, over other training and other judged images."""
    chance = np.random.default_rng([units, dims, copies])
    drawn = [draw(chance, units, dims, far, copies) for _ in range(SIMULATIONS)]
    expected = np.mean([each.truth for each in drawn], axis=0)
    shares, gaps = [], []
    for each in drawn:
        low, high = cross_validated_share(each.right[0], each.units, FOLDS)
        shares.append(low <= expected[0] <= high)
        gap = cross_validated_difference(each.right[0], each.right[1], each.units, FOLDS)
        gaps.append(gap.low <= expected[0] - expected[1] <= gap.high)
    assert np.mean(shares) >= LEAST
    assert np.mean(gaps) >= LEAST


def test_counting_images_as_independent_is_too_sure() -> None:
    """Why there is a correction: without it an interval covers well below 93 %; fails where the setting shows nothing."""
    chance = np.random.default_rng(0)
    drawn = [draw(chance, 100, 20, (0.8, 1.1), 1) for _ in range(300)]
    expected = float(np.mean([each.truth[0] for each in drawn]))
    plain = [share_interval(each.right[0], each.units)[:2] for each in drawn]
    assert np.mean([low <= expected <= high for low, high in plain]) < 0.92


def test_one_unit_says_nothing_and_five_folds_widen_by_half() -> None:
    assert cross_validated_share(np.ones(12, bool), np.zeros(12, np.int64), FOLDS) == (0.0, 1.0)
    assert inflation(5) == 2.25
    right = np.arange(400) % 10 != 0
    low, high = cross_validated_share(right, np.arange(400), FOLDS)
    plain = share_interval(right, np.arange(400))
    assert (high - low) / (plain[1] - plain[0]) == pytest.approx(1.5, abs=0.02)
