"""Scores of features against implementations that share nothing with ours: direct maximisation, closed formulas, loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from jobs.advice.accuracy import NEIGHBOURS, linear_probe, neighbours
from jobs.advice.scores import h_score, leep, logme, nce


def drawn(n: int, d: int, classes: int, far: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng([seed, n, d])
    labels = np.arange(n) % classes
    return chance.normal(size=(n, d)) + far * chance.normal(size=(classes, d))[labels], labels


def evidence_by_optimiser(f: np.ndarray, y: np.ndarray) -> float:
    """max over alpha, beta of log N(y; 0, I / beta + F F^T / alpha), an image: the definition, by the whole covariance."""

    def negative(logs: np.ndarray) -> float:
        covariance = np.eye(len(y)) / np.exp(logs[1]) + f @ f.T / np.exp(logs[0])
        return -float(multivariate_normal.logpdf(y, cov=covariance, allow_singular=False))

    starts = [(0.0, 0.0), (3.0, 2.0), (-2.0, 1.0)]
    found = [minimize(negative, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10}) for start in starts]
    return -float(min(each.fun for each in found)) / len(y)


@pytest.mark.parametrize(("n", "d"), [(40, 5), (30, 60)])
def test_logme_is_the_maximum_evidence(n: int, d: int) -> None:
    """More images than values and fewer. Mutation tried: gamma counted over d values that no image spans."""
    features, labels = drawn(n, d, 3, 1.0)
    expected = np.mean([evidence_by_optimiser(features, (labels == label).astype(float)) for label in range(3)])
    assert logme(features, labels, 3) == pytest.approx(expected, abs=1e-5)


def test_logme_leaves_out_classes_without_images() -> None:
    features, labels = drawn(40, 5, 2, 1.0)
    assert logme(features, labels, 5) == logme(features, labels, 2)


def test_h_score_is_bao_s_where_nothing_is_shrunk() -> None:
    """With many images Ledoit and Wolf shrink next to nothing: tr(cov(f)^-1 cov(E[f|y])) by its definition."""
    features, labels = drawn(20_000, 4, 3, 1.0)
    between = np.cov(np.stack([features[labels == label].mean(axis=0) for label in labels]).T, bias=True)
    expected = np.trace(np.linalg.inv(np.cov(features.T, bias=True)) @ between)
    assert h_score(features, labels) == pytest.approx(expected, abs=0.01)


def test_h_score_of_more_values_than_images_is_no_success() -> None:
    """Bao's own would be classes - 1 for any labels; the shrunk one tells noise from features that mean something."""
    noise, labels = drawn(60, 300, 3, 0.0)
    meaning, _ = drawn(60, 300, 3, 0.5)
    assert h_score(noise, labels) < 0.5 < h_score(meaning, labels) < 2.0


def test_leep_and_nce_by_loops() -> None:
    chance = np.random.default_rng(1)
    theta, labels = chance.dirichlet(np.full(6, 0.3), size=50), chance.integers(0, 3, 50)
    total = 0.0
    for i in range(50):
        likelihood = 0.0
        for z in range(6):
            both = sum(theta[j, z] for j in range(50) if labels[j] == labels[i]) / 50
            likelihood += theta[i, z] * both / (sum(theta[j, z] for j in range(50)) / 50)
        total += np.log(likelihood)
    assert leep(theta, labels) == pytest.approx(total / 50)
    source = theta.argmax(axis=1)
    pairs = [(labels[i], source[i]) for i in range(50)]
    entropy = sum(np.log(pairs.count(pair) / list(source).count(pair[1])) for pair in pairs) / 50
    assert nce(source, labels) == pytest.approx(entropy)


def test_leep_is_never_above_nce_with_hard_outputs_and_both_are_zero_at_best() -> None:
    source = np.arange(40) % 8
    labels = source % 2
    assert leep(np.eye(8)[source], labels) == pytest.approx(0.0, abs=1e-9)
    assert nce(source, labels) == pytest.approx(0.0, abs=1e-9)


def test_neighbours_by_sorting_and_never_of_the_own_unit() -> None:
    features, labels = drawn(60, 8, 3, 0.7)
    units = np.arange(60) // 2
    right = neighbours(features.astype(np.float32), labels, units, 3)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for i in range(60):
        near = sorted((-unit[i] @ unit[j], j) for j in range(60) if units[j] != units[i])[:NEIGHBOURS]
        votes = [sum(1 - similarity for similarity, j in near if labels[j] == label) for label in range(3)]
        assert right[i] == (int(np.argmax(votes)) == labels[i])


def test_copies_do_not_help_each_other() -> None:
    """Noise with each image there twice: a probe or neighbours that saw the copy would be right on it."""
    features, labels = drawn(60, 400, 2, 0.0)
    twice, both = np.repeat(features, 2, axis=0).astype(np.float32), np.repeat(labels, 2)
    units = np.repeat(np.arange(60), 2)
    assert neighbours(twice, both, units, 2).mean() < 0.75
    assert linear_probe(twice, both, units, 2).right.mean() < 0.75
    assert neighbours(twice, both, np.arange(120), 2).mean() > 0.85  # what the units guard against
