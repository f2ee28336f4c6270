"""Challenger against champion on the same images: tests that are exact, units that count once, metrics of all kinds."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy import stats

from jobs.promotion.paired import class_tests, compare
from jobs.statistics.corrections import benjamini_hochberg
from jobs.statistics.permutation import chance
from jobs.statistics.predictions import Ints, Predictions
from jobs.statistics.units import sides


def predictions(
    labels: Ints, predicted: Ints, groups: Ints | None = None, confidence: float = 0.8, classes: int = 2
) -> Predictions:
    p = np.full((len(labels), classes), (1 - confidence) / (classes - 1))
    p[np.arange(len(labels)), predicted] = confidence
    return Predictions(labels, p, np.arange(len(labels)) if groups is None else groups)


def test_the_test_of_a_class_is_exact() -> None:
    """Against the binomial sum written out."""
    for gained in range(6):
        for lost in range(6):
            n = gained + lost
            tail = sum(comb(n, k) for k in range(lost, n + 1)) / 2**n
            assert chance(lost, gained) == pytest.approx(tail)


def test_adjusted_p_values_are_scipys() -> None:
    p = np.random.default_rng(0).random(40) ** 3
    assert benjamini_hochberg(p.tolist()) == pytest.approx(stats.false_discovery_control(p, method="bh").tolist())
    assert benjamini_hochberg([]) == []


def test_a_unit_counts_once_for_who_gets_more_of_it_right() -> None:
    right_a = np.array([True, True, False, True, False, False])
    right_b = np.array([False, False, True, True, True, False])
    assert sides(right_a, right_b, np.array([0, 0, 0, 1, 2, 3])) == (1, 1)
    assert sides(right_a, right_b, np.arange(6)) == (2, 2)


def test_ten_copies_of_one_picture_are_one_argument() -> None:
    labels = np.zeros(40, dtype=np.int64)
    groups = np.concatenate([np.zeros(10), np.arange(1, 31)]).astype(np.int64)
    champion = predictions(labels, np.where(groups == 0, 1, 0), groups)
    challenger = predictions(labels, np.zeros(40, dtype=np.int64), groups)
    estimate = compare("accuracy", challenger, champion)
    assert (estimate.gained, estimate.lost, estimate.p) == (1, 0, 0.5)
    assert estimate.difference == pytest.approx(0.25)
    alone = compare("accuracy", *(predictions(p.labels, p.predicted) for p in (challenger, champion)))
    assert alone.p == pytest.approx(2**-10)


def test_recalls_losses_and_gains_of_each_class() -> None:
    labels = np.array([0] * 10 + [1] * 20)
    champion = predictions(labels, labels)
    wrong = labels.copy()
    wrong[:7] = 1
    rows = class_tests(predictions(labels, wrong), champion, ["cat", "dog"])
    assert [(row.name, row.n, row.lost, row.gained) for row in rows] == [("cat", 10, 7, 0), ("dog", 20, 0, 0)]
    assert (rows[0].champion, rows[0].challenger) == (1.0, pytest.approx(0.3))
    assert (rows[0].p, rows[1].p) == (pytest.approx(2**-7), 1.0)
    assert rows[0].p_adjusted == pytest.approx(2**-6)


def noisy(labels: Ints, strength: float, seed: int, classes: int) -> Predictions:
    chance_ = np.random.default_rng(seed)
    logits = chance_.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += strength
    powers = np.exp(logits)
    return Predictions(labels, powers / powers.sum(axis=1, keepdims=True), np.arange(len(labels)))


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1", "log_loss"])
def test_every_metric_tells_better_from_worse(metric: str) -> None:
    labels = np.repeat(np.arange(4), 60)
    weak, strong = noisy(labels, 0.8, 1, 4), noisy(labels, 2.0, 2, 4)
    up, down = compare(metric, strong, weak), compare(metric, weak, strong)
    assert up.gain > 0 > down.gain
    assert up.p < 0.001 < 0.99 < down.p
    assert up.low < up.difference < up.high
    assert (up.low > 0 or up.high < 0) is True
    assert up.difference == pytest.approx(-down.difference)
    same = compare(metric, strong, strong)
    assert (same.gain, same.gained, same.lost) == (0.0, 0, 0)
    assert same.p >= 0.5


@pytest.mark.parametrize("metric", ["balanced_accuracy", "log_loss", pytest.param("macro_f1", marks=pytest.mark.slow)])
def test_the_paired_test_of_equals_is_right_as_often_as_it_says(metric: str) -> None:
    """p below 0.1 for about every tenth pair of equal models (300 pairs)."""
    labels = np.repeat(np.arange(3), 50)
    found = [compare(metric, noisy(labels, 1.2, 2 * i, 3), noisy(labels, 1.2, 2 * i + 1, 3)).p for i in range(300)]
    assert 0.06 < np.mean(np.array(found) < 0.1) < 0.14
