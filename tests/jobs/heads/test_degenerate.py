"""Data at the edge, beside scikit-learn's regression taken to its end on the same features; what cannot be is refused.

Broken once each, and a test red each time: no check of features, none of weights, standardised in single precision, the last
search stopped where folds stop, no limit of threads.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from jobs.heads.held_out import held_out
from jobs.heads.logistic import Fitted, fit
from jobs.heads.standard import standard_of
from jobs.metrics.calibration import softmax
from jobs.metrics.label_errors import out_of_fold
from tests.jobs.heads.test_multinomial import clouds
from tlbatch.errors import DataError


def one(x: np.ndarray, y: np.ndarray, c: float, weights: np.ndarray | None = None) -> Fitted:
    return fit(x, y, int(y.max()) + 1, cs=[c], folds=5, seed=0, weights=weights)


def beside_scikit_learn(x: np.ndarray, y: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the images, ours and theirs."""
    x64 = x.astype(np.float64)
    z = (x64 - x64.mean(axis=0)) / standard_of(x, np.arange(len(x))).scale
    theirs = LogisticRegression(C=c, tol=1e-10, max_iter=50_000).fit(z, y).predict_proba(z)
    return softmax(one(x, y, c).logits(x)), theirs


@pytest.mark.parametrize("c", [1e-2, 1.0])
def test_a_class_of_one_image(c: float) -> None:
    x, y = clouds(61, 30, 3)
    y[-1] = 3
    np.testing.assert_allclose(*beside_scikit_learn(x, y, c), atol=2e-4)
    chosen = fit(x, y, 4, cs=[1e-3, 1e-2, 0.1], folds=5, seed=0)
    assert all(np.isfinite(row["log_loss"]) for row in chosen.cv)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e7])
def test_a_constant_feature(value: float) -> None:
    x, y = clouds(60, 20, 3)
    x[:, 7] = value
    np.testing.assert_allclose(*beside_scikit_learn(x, y, 0.1), atol=2e-4)
    assert np.abs(one(x, y, 0.1).weight[:, 7]).max() < 1e-9


@pytest.mark.parametrize(("scale", "shift"), [(1e6, 0.0), (1e-6, 0.0), (1.0, 1e5)])
def test_a_feature_of_another_scale(scale: float, shift: float) -> None:
    """As a feature may be that no layer has normalised; single precision leaves a shifted one two digits."""
    x, y = clouds(60, 20, 3)
    x[:, 7] = x[:, 7] * np.float32(scale) + np.float32(shift)
    np.testing.assert_allclose(*beside_scikit_learn(x, y, 0.1), atol=2e-4)


@pytest.mark.parametrize("shape", [(40, 60), (120, 20)])  # by rows, by features
@pytest.mark.parametrize("classes", [2, 3])
def test_separable_classes_and_hardly_a_penalty(shape: tuple[int, int], classes: int) -> None:
    """C = 1e4: all images are right by far, what is minimised nearly flat. The loss is no more than 1e-6 of it above theirs."""
    chance = np.random.default_rng(0)
    y = np.arange(shape[0]) % classes
    x = (5 * chance.normal(size=(classes, shape[1]))[y] + chance.normal(size=shape)).astype(np.float32)
    standard = standard_of(x, np.arange(len(x)))
    z = standard(x, precision=np.float64)
    model = LogisticRegression(C=1e4, tol=1e-10, max_iter=50_000).fit(z, y)
    ours = one(x, y, 1e4)
    weight, bias = ours.weight * standard.scale, ours.bias + ours.weight @ standard.mean
    if classes == 2:
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]

    def loss(weight: np.ndarray, bias: np.ndarray) -> float:
        outputs = z @ weight.T + bias
        if classes == 2:
            outputs = np.hstack([np.zeros_like(outputs), outputs])
        return float(-np.log(softmax(outputs)[np.arange(len(y)), y]).sum() * 1e4 + (weight**2).sum() / 2)

    assert loss(weight, bias) <= loss(model.coef_, model.intercept_) * (1 + 1e-6)


@pytest.mark.parametrize("shape", [(500, 640), (900, 400), (700, 640)])  # by rows, by features, by a sketch
@pytest.mark.parametrize("beside", [0.0, 1e-5])
def test_features_that_all_say_the_same(shape: tuple[int, int], beside: float) -> None:
    """As a deep network from random weights may say of every image little more than how bright it is.

    With hardly a penalty rounding may hide the minimum, which is said then. Fails (LinAlgError) when a preconditioner that
    rounding left indefinite is not made again with a larger ridge; and when a decrement of the wrong sign counts as none.
    """
    chance = np.random.default_rng(0)
    y = np.arange(shape[0]) % 3
    said = chance.normal(size=shape[0]) + 0.3 * y
    x = (np.outer(said, np.ones(shape[1])) + beside * chance.normal(size=shape) + 5).astype(np.float32)
    np.testing.assert_allclose(*beside_scikit_learn(x, y, 0.1), atol=2e-4)
    ours, theirs = beside_scikit_learn(x, y, 1000.0)
    assert np.abs(ours - theirs).max() < 1e-3 or "its search stopped" in one(x, y, 1000.0).sentence
    chosen = fit(x, y, 3, cs=[1e-2, 1000.0], folds=3, seed=0)
    assert all(np.isfinite(row["log_loss"]) for row in chosen.cv)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused(wrong: float) -> None:
    x, y = clouds(60, 20, 3)
    x[5, 3] = wrong
    with pytest.raises(DataError, match="features are no finite numbers"):
        one(x, y, 0.1)
    with pytest.raises(DataError, match="features are no finite numbers"):
        out_of_fold(x, y, 3, np.arange(60))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_weights_that_cannot_be_are_refused(wrong: float) -> None:
    x, y = clouds(60, 20, 3)
    weights = np.ones(60)
    weights[5] = wrong
    with pytest.raises(DataError, match=r"weights of images are to be finite, none below 0"):
        one(x, y, 0.1, weights)
    with pytest.raises(DataError, match="one above it: these reach from 0 to 0"):
        one(x, y, 0.1, np.zeros(60))


def test_an_image_that_counts_nothing_is_not_learnt() -> None:
    x, y = clouds(60, 20, 3)
    y_wrong, weights = y.copy(), np.ones(60)
    y_wrong[:5], weights[:5] = (y[:5] + 1) % 3, 0.0
    np.testing.assert_allclose(one(x, y, 0.1, weights).weight, one(x, y_wrong, 0.1, weights).weight, atol=1e-4)


def test_the_process_threads_change_no_bit_of_what_is_small() -> None:
    """Whatever OMP_NUM_THREADS and its like say: a step of less than cores.WORTH_SHARING runs on one thread."""
    x, y = clouds(500, 400, 3)
    found = []
    for number in (1, 2, 4):
        with threadpool_limits(number, user_api="blas"):
            whole = one(x, y, 0.01)
            parts = held_out(x, y, [np.arange(0, 500, 2), np.arange(1, 500, 2)], [1e-3, 1e-2], lambda said: said.logits)
        found.append([whole.weight, whole.bias, *parts])
    for other in found[1:]:
        for ours, theirs in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(ours, theirs)
