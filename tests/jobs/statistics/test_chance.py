"""A classifier that sees nothing is not called better than chance, whatever the classes' shares, units and seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from jobs.statistics.chance import LEVEL, above_chance


@pytest.mark.parametrize(("right", "n"), [(23, 200), (38, 200), (20, 200), (0, 50), (50, 50)])
def test_single_images_have_scipys_binomial_test(right: int, n: int) -> None:
    labels = np.arange(n) % 10
    predicted = np.where(np.arange(n) < right, labels, (labels + 1) % 10)
    found = above_chance(predicted[None], labels, np.arange(n))
    expected = stats.binomtest(right, n, 0.1, alternative="greater").pvalue
    assert found.rate == 0.1
    assert found.p == pytest.approx(expected, abs=1e-12)


def test_chance_of_unequal_classes_is_the_largest_share() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    always = above_chance(np.zeros((1, 100), dtype=np.int64), labels, np.arange(100))
    assert (always.rate, always.shown) == (0.9, False)
    assert above_chance(labels[None], labels, np.arange(100)).shown


def test_ten_copies_of_one_picture_are_one() -> None:
    labels = np.repeat([0, 1, 0, 1], 10)
    predicted = labels[None]
    assert above_chance(predicted, labels, np.arange(40)).shown
    assert not above_chance(predicted, labels, np.repeat(np.arange(4), 10)).shown


@pytest.mark.parametrize(
    ("shares", "size", "seeds"),
    [((0.1,) * 10, 1, 1), ((0.5, 0.5), 1, 1), ((0.7, 0.2, 0.1), 1, 3), ((0.25,) * 4, 10, 1), ((0.5, 0.5), 10, 3)],
)
def test_null_classifiers_pass_in_five_of_a_hundred_at_most(shares: tuple[float, ...], size: int, seeds: int) -> None:
    """1,200 test sets of 40 to 300 images whose units are labelled and predicted independently."""
    chance, false = np.random.default_rng(5), 0
    for _ in range(1200):
        units = int(chance.integers(40, 300)) // (3 if size > 1 else 1)
        labels = np.repeat(chance.choice(len(shares), units, p=shares), size)
        predicted = np.repeat(chance.choice(len(shares), (seeds, units), p=shares), size, axis=1)
        false += above_chance(predicted, labels, np.repeat(np.arange(units), size)).shown
    assert false / 1200 <= LEVEL + 2 * np.sqrt(LEVEL * (1 - LEVEL) / 1200)


def test_nineteen_in_a_hundred_of_ten_breeds_is_shown_and_eleven_is_not() -> None:
    labels = np.arange(600) % 10
    for share, shown in ((0.19, True), (0.115, False)):
        predicted = np.where(np.arange(600) // 10 < share * 60, labels, (labels + 1) % 10)
        assert above_chance(predicted[None], labels, np.arange(600)).shown is shown
