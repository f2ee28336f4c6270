"""Multinomial logistic regression on standardised features, its C chosen by stratified cross-validation on the training images.

C is the inverse strength of the L2 penalty as scikit-learn has it: minimise ½‖W‖² + C · Σ log loss; the intercept is free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.heads.folds import can_fold, folds_of
from tlbatch import nouns
from tlbatch.errors import DataError

DEFAULT_C = 1.0
"""Where several C may be chosen from and nothing tells them apart: no class has two images that may lie in two folds."""
MAX_ITERATIONS = 2000
PRIOR = 10  #: images that the mean variance of all features counts as, beside each feature's own
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Fitted:
    """Logits of raw features x are ``x @ weight.T + bias``: ``weight`` [classes, d], ``bias`` [classes], float64."""

    weight: Floats
    bias: Floats
    c: float
    cv: list[dict[str, Any]]
    only: bool = False  #: whether one C was asked for

    @property
    def chosen(self) -> dict[str, Any]:
        return {"c": self.c, "cv": self.cv}

    @property
    def sentence(self) -> str:
        if self.cv:
            return f"C = {self.c:g}, chosen by cross-validation"
        return f"C = {self.c:g}" + ("" if self.only else ": too few labels to choose by")

    def logits(self, features: NDArray[np.float32]) -> Floats:
        """[n, classes] of raw features [n, d]."""
        return np.asarray(features.astype(np.float64) @ self.weight.T + self.bias)


@dataclass(frozen=True)
class _Standard:
    """x -> ((x - mean) / scale) @ basis; ``basis`` turns d dimensions into the n that n images span, where d > n.

    The penalty does not see rotations, so nothing is lost, and a flattened map of 100,000 values costs no more than its images.
    """

    mean: Floats
    scale: Floats
    basis: Floats | None

    def __call__(self, x: Floats) -> Floats:
        z = (x - self.mean) / self.scale
        return z if self.basis is None else z @ self.basis


def _standardise(x: Floats) -> _Standard:
    """By each feature's standard deviation, its variance shrunk towards the mean one: n·v + PRIOR·mean(v) over n + PRIOR.

    The deviation of ten images says little: one that is small by luck makes its feature the loudest (variances shrunk as in
    regularised discriminant analysis: Friedman 1989, JASA 84; Schaefer and Strimmer 2005 for the target).
    """
    mean, variance = x.mean(axis=0), x.var(axis=0)
    scale = np.sqrt((len(x) * variance + PRIOR * variance.mean()) / (len(x) + PRIOR))
    scale = np.where(scale > 1e-12, scale, 1.0)
    basis = None
    if x.shape[1] > len(x):
        basis, _ = np.linalg.qr(((x - mean) / scale).T)
    return _Standard(mean, scale, basis)


def fit(
    features: NDArray[np.float32],
    labels: Ints,
    n_classes: int,
    *,
    cs: Sequence[float],
    folds: int,
    seed: int,
    groups: Sequence[str] | None = None,
    weights: Floats | None = None,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Fitted:
    """``features`` [n, d], ``labels`` [n] in 0..n_classes-1; images of one of ``groups`` stay in one fold.

    ``weights`` [n]: how much each image counts, in fitting and where it is held out (importance-weighted cross-validation:
    Sugiyama, Krauledat and Mueller 2007).

    The C with the lowest mean held-out log loss is taken (the smallest of equals); ``DEFAULT_C`` where no class has images in
    two folds, as with one label a class. Classes without images get a very low logit.
    Raises DataError where the images have one class only. ``tick`` is called after every fit.
    """
    x = features.astype(np.float64)
    present = np.unique(labels)
    if len(present) < 2:
        raise DataError(f"the training {nouns.items()} have one class only: a logistic regression needs two")
    choose = len(cs) > 1 and can_fold(labels, groups)
    cv = _cross_validate(x, labels, list(cs), folds, seed, groups, weights, tick) if choose else []
    without = DEFAULT_C if len(cs) > 1 else float(cs[0])
    c = min(cv, key=lambda row: (row["log_loss"], row["c"]))["c"] if cv else without
    standard = _standardise(x)
    weight, bias = _solve(standard(x), labels, c, weights)
    if standard.basis is not None:
        weight = weight @ standard.basis.T
    weight = weight / standard.scale
    bias = bias - weight @ standard.mean
    whole_weight, whole_bias = np.zeros((n_classes, x.shape[1])), np.full(n_classes, bias.min() - 20.0)
    whole_weight[present], whole_bias[present] = weight, bias
    return Fitted(whole_weight, whole_bias, c, cv, only=len(cs) == 1)


def _solve(z: Floats, labels: Ints, c: float, counts: Floats | None = None, start: Any = None) -> tuple[Floats, Floats]:
    """Weights [classes present, d] and biases; two classes get opposite logits, half each (softmax = sigmoid)."""
    from sklearn.linear_model import LogisticRegression

    model = start if start is not None else LogisticRegression(C=c, max_iter=MAX_ITERATIONS, tol=1e-5)
    model.C = c
    model.fit(z, labels, sample_weight=counts)
    weight, bias = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(weight) == 1:
        return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias


def _cross_validate(
    x: Floats,
    labels: Ints,
    cs: list[float],
    folds: int,
    seed: int,
    groups: Sequence[str] | None,
    counts: Floats | None,
    tick: Callable[[int, int], None],
) -> list[dict[str, Any]]:
    """For each C the mean held-out log loss and accuracy over the folds; each fold standardises by its own training part."""
    from sklearn.linear_model import LogisticRegression

    parts = folds_of(labels, folds, seed, groups)
    losses, right = np.zeros(len(cs)), np.zeros(len(cs))
    for number, held in enumerate(parts):
        kept = np.setdiff1d(np.arange(len(labels)), held)
        if len(np.unique(labels[kept])) < 2:  # nothing to tell apart: this fold says nothing about C
            continue
        standard = _standardise(x[kept])
        inner, outer = standard(x[kept]), standard(x[held])
        model = LogisticRegression(
            max_iter=MAX_ITERATIONS, tol=1e-4, warm_start=True
        )  # from weak to strong: each start is near
        for i in np.argsort(cs):
            weight, bias = _solve(inner, labels[kept], cs[i], None if counts is None else counts[kept], model)
            own = None if counts is None else counts[held]
            loss, hits = _judge(outer @ weight.T + bias, labels[held], np.unique(labels[kept]), own)
            losses[i] += loss
            right[i] += hits
            tick(number * len(cs) + int(i) + 1, len(parts) * len(cs) + 1)
    n = sum(len(held) if counts is None else float(counts[held].sum()) for held in parts)
    return [{"c": float(c), "log_loss": float(losses[i] / n), "accuracy": float(right[i] / n)} for i, c in enumerate(cs)]


def _judge(logits: Floats, labels: Ints, classes: Ints, counts: Floats | None = None) -> tuple[float, float]:
    """Summed log loss (a class the fold never saw: -log 1e-12) and number right; by what each counts."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    truth = np.where((labels[:, None] == classes[None]).any(axis=1), (p * (labels[:, None] == classes[None])).sum(axis=1), 0.0)
    losses, right = -np.log(np.maximum(truth, 1e-12)), classes[logits.argmax(axis=1)] == labels
    return (float(losses.sum()), float(right.sum())) if counts is None else (float(losses @ counts), float(right @ counts))
