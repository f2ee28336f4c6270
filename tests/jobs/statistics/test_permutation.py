"""The exact test over units: against all sign patterns written out, SciPy's and statsmodels' tests."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from jobs.statistics.permutation import chance, mcnemar, one_sided, two_sided
from jobs.statistics.units import differences, sides

WHOLE = st.lists(st.integers(-6, 6), min_size=1, max_size=11)


@settings(max_examples=150, deadline=None)
@given(WHOLE)
def test_p_is_the_share_of_all_sign_patterns_that_are_as_far_out(values: list[int]) -> None:
    d = np.array(values)
    sums = np.array([np.dot(signs, d) for signs in itertools.product((-1, 1), repeat=len(d))])
    assert two_sided(d) == pytest.approx(np.mean(np.abs(sums) >= abs(d.sum())), abs=1e-12)
    assert one_sided(d) == pytest.approx(np.mean(sums >= d.sum()), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_single_images_are_exact_mcnemar_as_statsmodels_has_it(only_a: int, only_b: int) -> None:
    d = np.array([1] * only_a + [-1] * only_b + [0] * 7)
    table = [[5, only_a], [only_b, 3]]
    expected = statsmodels_mcnemar(table, exact=True).pvalue if only_a + only_b else 1.0
    assert two_sided(d) == pytest.approx(min(1.0, expected), rel=1e-9)
    assert mcnemar(only_a, only_b) == pytest.approx(min(1.0, expected), rel=1e-9)
    greater = stats.binomtest(only_a, only_a + only_b, alternative="greater").pvalue if only_a + only_b else 1.0
    assert one_sided(d) == pytest.approx(greater, rel=1e-9)
    assert chance(only_a, only_b) == pytest.approx(greater if only_a else 1.0, rel=1e-9)


@pytest.mark.promise(6)
def test_twelve_groups_of_ten_are_twelve_units() -> None:
    """Three groups right only in a, one only in b: by images p = 0.0000 something, by units 10 of 16 patterns. Fails when every
    image is a unit.
    """
    right_a, right_b = np.ones((2, 120), dtype=bool)
    right_b[:30], right_a[30:40] = False, False
    groups = [f"burst{i // 10}" for i in range(120)]
    d = differences(right_a, right_b, groups)
    assert sorted(d.tolist()) == [-10] + [0] * 8 + [10] * 3
    assert two_sided(d) == 0.625
    assert sides(right_a, right_b, groups) == (3, 1)


def test_large_and_many_units_are_quick_and_as_scipys_permutations() -> None:
    rng = np.random.default_rng(0)
    d = rng.integers(-20, 22, 100_000)
    start = time.monotonic()
    found = two_sided(d)
    assert time.monotonic() - start < 5
    assert found == pytest.approx(2 * stats.norm.sf(abs(d.sum()) / np.sqrt((d**2).sum())), rel=0.02)
    few = np.array([300, -120, 5, 5, 5, -1, 40, 2] + [1] * 12 + [-1] * 5)
    drawn = np.where(rng.random((200_000, len(few))) < 0.5, -few, few).sum(axis=1)
    assert two_sided(few) == pytest.approx(np.mean(np.abs(drawn) >= few.sum()), abs=0.004)


def test_ten_thousand_flips_of_one_size_keep_their_tail() -> None:
    assert two_sided(np.array([3] * 700 + [-3] * 300)) == pytest.approx(stats.binomtest(700, 1000).pvalue, rel=1e-9)
    mixed = two_sided(np.array([3] * 60 + [1] * 60))
    assert 0 <= mixed < 1e-12
