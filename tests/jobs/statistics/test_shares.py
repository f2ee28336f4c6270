"""Intervals of shares: Wilson's formula as SciPy has it, groups, counts only, means of shares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from jobs.statistics.shares import effective_n, mean_of_shares, share, wilson


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (988, 1000), (1, 1), (0, 3)])
def test_wilson_is_scipys(k: int, n: int) -> None:
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_below_ten_images_counts_only() -> None:
    nine = share(np.array([True] * 7 + [False] * 2), np.arange(9))
    assert (nine.value, nine.low, nine.high, nine.k, nine.n) == (7 / 9, None, None, 7, 9)
    assert nine.method == "counts only"
    ten = share(np.array([True] * 7 + [False] * 3), np.arange(10))
    assert (ten.low, ten.high) == wilson(7, 10)
    none = share(np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64))
    assert (none.value, none.k, none.n) == (None, 0, 0)


def test_images_of_one_group_count_as_one() -> None:
    chance = np.random.default_rng(0)
    alone = chance.random(200) < 0.8
    twice, groups = np.repeat(alone, 2), np.repeat(np.arange(200), 2)
    assert effective_n(alone, np.arange(200)) == 200
    assert effective_n(twice, groups) == pytest.approx(200, rel=0.02)  # copies add nothing
    apart = np.concatenate([alone, chance.random(200) < 0.8])
    assert effective_n(apart, np.tile(np.arange(200), 2)) > 330  # pairs that have nothing in common are no loss
    assert effective_n(np.ones(400, dtype=bool), groups) == pytest.approx(200)
    assert share(twice, groups).low < share(twice, np.arange(400)).low
    assert "200 independent" in share(np.ones(400, dtype=bool), groups).method


def test_intervals_of_grouped_images_cover() -> None:
    """Groups of 5 that are wholly alike, true share 0.9: the plain interval would cover two times in three."""
    chance = np.random.default_rng(1)
    groups = np.repeat(np.arange(100), 5)
    covered = plain = 0
    for _ in range(400):
        right = np.repeat(chance.random(100) < 0.9, 5)
        estimate = share(right, groups)
        assert estimate.low is not None
        assert estimate.high is not None
        covered += estimate.low <= 0.9 <= estimate.high
        low, high = wilson(int(right.sum()), 500)
        plain += low <= 0.9 <= high
    assert covered / 400 > 0.92
    assert plain / 400 < 0.75


def test_mean_of_shares_covers_and_is_no_wider_than_its_parts() -> None:
    chance = np.random.default_rng(2)
    truths, sizes = np.array([0.99, 0.8, 0.6]), [40, 60, 30]
    covered = 0
    for _ in range(400):
        parts = [share(chance.random(n) < p, np.arange(n)) for p, n in zip(truths, sizes, strict=True)]
        low, high = mean_of_shares(parts)
        covered += low <= truths.mean() <= high
    assert 0.92 < covered / 400 < 0.99
    one = share(np.ones(50, dtype=bool), np.arange(50))
    assert mean_of_shares([one]) == pytest.approx((one.low, one.high))
