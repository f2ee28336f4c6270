"""The paired bootstrap of macro F1."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from jobs.statistics.macro_f1 import f1_difference


def noisy(labels: np.ndarray, wrong: float, classes: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(labels)) < wrong, rng.integers(0, classes, len(labels)), labels)


def test_the_value_is_scikit_learns() -> None:
    labels = np.random.default_rng(0).integers(0, 4, 300)
    a, b = noisy(labels, 0.1, 4, 1), noisy(labels, 0.3, 4, 2)
    found = f1_difference(labels, a[None], b[None], [str(i) for i in range(300)], 4)
    expected = f1_score(labels, a, average="macro") - f1_score(labels, b, average="macro")
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.low < expected < found.high


def test_the_interval_is_that_of_a_plain_stratified_bootstrap() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 240)
    a, b = noisy(labels, 0.1, 3, 1), noisy(labels, 0.25, 3, 2)
    found = f1_difference(labels, a[None], b[None], [str(i) for i in range(240)], 3, draws=2000)
    rng, drawn = np.random.default_rng(9), []
    for _ in range(500):
        rows = np.concatenate([rng.choice(np.flatnonzero(labels == c), (labels == c).sum()) for c in range(3)])
        scores = [f1_score(labels[rows], predicted[rows], average="macro") for predicted in (a, b)]
        drawn.append(scores[0] - scores[1])
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.02)


def test_copies_are_drawn_together() -> None:
    labels = np.repeat(np.random.default_rng(0).integers(0, 3, 80), 4)
    a, b = np.repeat(noisy(labels[::4], 0.1, 3, 1), 4), np.repeat(noisy(labels[::4], 0.3, 3, 2), 4)
    grouped = f1_difference(labels, a[None], b[None], [str(i // 4) for i in range(320)], 3)
    single = f1_difference(labels, a[None], b[None], [str(i) for i in range(320)], 3)
    assert grouped.high - grouped.low == pytest.approx(2 * (single.high - single.low), rel=0.15)


def test_seeds_widen_the_interval() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 300)
    groups = [str(i) for i in range(300)]
    b = np.stack([noisy(labels, 0.3, 3, 50 + s) for s in range(3)])
    calm = np.stack([noisy(labels, 0.2, 3, s) for s in range(3)])
    restless = np.stack([noisy(labels, wrong, 3, s) for s, wrong in enumerate((0.02, 0.2, 0.5))])
    narrow, wide = (f1_difference(labels, a, b, groups, 3) for a in (calm, restless))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
