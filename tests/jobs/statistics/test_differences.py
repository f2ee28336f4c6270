"""The statistics behind every claim, against references and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from jobs.statistics.corrections import holm
from jobs.statistics.differences import paired_difference
from jobs.statistics.permutation import mcnemar


def right(seed: int, n: int, share: float, seeds: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((seeds, n)) < share


def ids(n: int) -> list[str]:
    return [f"{i:05d}" for i in range(n)]


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (0, 6), (3, 12), (10, 10), (250, 1), (40, 61)])
def test_mcnemar_is_the_exact_binomial_test(only_a: int, only_b: int) -> None:
    expected = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    assert mcnemar(only_a, only_b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.promise(6)
def test_holm_against_an_example_worked_by_hand() -> None:
    """Fails when p-values are not multiplied by the number of tests that are left."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_the_difference_counts_images_only_one_got_right() -> None:
    a, b = np.array([[True, True, False, True]]), np.array([[True, False, True, False]])
    found = paired_difference(a, b, ids(4))
    assert (found.value, found.only_a, found.only_b) == (pytest.approx(0.25), (2,), (1,))


def test_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="not the same images"):
        paired_difference(right(0, 5, 0.5), right(1, 5, 0.5), ids(4))


def test_copies_widen_the_interval() -> None:
    """Each image four times over: an interval that took copies for images would be half as wide."""
    a, b = np.repeat(right(1, 200, 0.8), 4, axis=1), np.repeat(right(2, 200, 0.7), 4, axis=1)
    grouped = paired_difference(a, b, [f"{i // 4}" for i in range(800)])
    single = paired_difference(a, b, ids(800))
    assert grouped.high - grouped.low == pytest.approx(2 * (single.high - single.low), rel=0.1)


def test_the_interval_of_one_seed_covers() -> None:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(300):
        both, a_only, b_only = rng.multinomial(400, [0.7, 0.15, 0.1, 0.05])[:3]
        a = np.arange(400) < both + a_only
        b = (np.arange(400) < both) | ((np.arange(400) >= both + a_only) & (np.arange(400) < both + a_only + b_only))
        found = paired_difference(a[None], b[None], ids(400))
        hits += found.low <= 0.05 <= found.high
    assert 0.92 <= hits / 300 <= 0.98


def test_a_spread_between_seeds_widens_the_interval() -> None:
    calm = right(1, 500, 0.9, 5), right(2, 500, 0.85, 5)
    restless = np.stack([right(seed, 500, share)[0] for seed, share in enumerate((0.7, 0.99, 0.8, 0.98, 0.9))]), calm[1]
    narrow, wide = (paired_difference(*pair, ids(500)) for pair in (calm, restless))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert narrow.p < 0.01 < wide.p


def test_equal_predictions_of_all_seeds_differ_in_nothing() -> None:
    """No difference, p = 1, and an interval that says what 100 images can rule out: not [0, 0]."""
    a = np.repeat(right(1, 100, 0.9), 3, axis=0)
    found = paired_difference(a, a, ids(100))
    assert (found.value, found.p) == (0.0, 1.0)
    assert found.low == pytest.approx(-found.high)
    assert 0.02 < found.high < 0.06
