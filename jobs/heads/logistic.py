"""Multinomial logistic regression on standardised features, its C chosen by stratified cross-validation on the training images.

C is the inverse strength of the L2 penalty as scikit-learn has it: minimise ½‖W‖² + C · Σ log loss; the intercept is free.
What is returned is the one minimum (jobs.heads.multinomial): how it was searched for leaves no trace beyond EXACT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.heads.cores import WORTH_SHARING, one_thread
from jobs.heads.folds import can_fold, folds_of
from jobs.heads.held_out import CHOOSING, Outputs, held_out, images_of, walk
from jobs.heads.lbfgs import minimise
from jobs.heads.multinomial import Images, objective
from jobs.heads.standard import Floats, Ints
from tlbatch import nouns
from tlbatch.errors import DataError

DEFAULT_C = 1.0
"""Where several C may be chosen from and nothing tells them apart: no class has two images that may lie in two folds."""
EXACT = 1e-9
"""How far the loss of what is returned may be above its minimum, as a share of it: probabilities agree to a few 1e-4."""
Tick = Callable[[int, int], None]


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
    tick: Tick = lambda done, total: None,
) -> Fitted:
    """``features`` [n, d], ``labels`` [n] in 0..n_classes-1; images of one of ``groups`` stay in one fold.

    ``weights`` [n]: how much each image counts, in fitting and where it is held out (importance-weighted cross-validation:
    Sugiyama, Krauledat and Mueller 2007).

    The C with the lowest mean held-out log loss is taken (the smallest of equals); ``DEFAULT_C`` where no class has images in
    two folds, as with one label a class. Classes without images get a very low logit.
    Raises DataError where the images have one class only, and where a feature or weight is no number a regression can have.
    ``tick`` is called now and then, with the fits done and all.
    """
    present = np.unique(labels)
    if len(present) < 2:
        raise DataError(f"the training {nouns.items()} have one class only: a logistic regression needs two")
    if weights is not None and not (np.isfinite(weights).all() and weights.min() >= 0 and weights.max() > 0):
        raise DataError(
            f"weights of {nouns.items()} are to be finite, none below 0 and one above it: these reach from "
            f"{weights.min():g} to {weights.max():g}"
        )
    choose = len(cs) > 1 and can_fold(labels, groups)
    parts = folds_of(labels, folds, seed, groups) if choose else []
    total = len(parts) * len(cs) + 1
    cv = _cross_validate(features, labels, list(cs), parts, weights, lambda done, _: tick(done, total)) if choose else []
    without = DEFAULT_C if len(cs) > 1 else float(cs[0])
    c = min(cv, key=lambda row: (row["log_loss"], row["c"]))["c"] if cv else without
    counts = np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=np.float64)
    images = images_of(features, labels, np.arange(len(labels)), counts)
    with one_thread(images.work < WORTH_SHARING):
        weight, bias = _minimum(images, c, lambda: tick(total - 1, total))
    tick(total, total)
    weight = weight / images.standard.scale
    bias = bias - weight @ images.standard.mean
    whole_weight, whole_bias = np.zeros((n_classes, features.shape[1])), np.full(n_classes, bias.min() - 20.0)
    whole_weight[present], whole_bias[present] = weight, bias
    return Fitted(whole_weight, whole_bias, c, cv, only=len(cs) == 1)


def _minimum(images: Images, c: float, check: Callable[[], None]) -> tuple[Floats, Floats]:
    """Weights [k, d] of standardised features and intercepts [k]: near in float32, there in float64."""
    rough = objective(images, np.float32)
    point = walk(rough, rough.start(), None, c, CHOOSING, check)
    penalty = rough.penalty
    del rough  # its Gram matrix makes room for the other
    exact = objective(images, np.float64)
    exact.penalty = penalty
    return exact.weights(minimise(exact, exact.settled(point), relative=EXACT, check=check).point)


def _cross_validate(
    x: NDArray[np.float32], labels: Ints, cs: list[float], parts: Sequence[Ints], counts: Floats | None, tick: Tick
) -> list[dict[str, Any]]:
    """For each C the mean held-out log loss and accuracy over the folds; each fold standardises by its own training part."""

    def judge(said: Outputs) -> tuple[int, float, float]:
        return said.place, *_judge(said.logits, labels[said.held], said.classes, None if counts is None else counts[said.held])

    losses, right = np.zeros(len(cs)), np.zeros(len(cs))
    for place, loss, hits in held_out(x, labels, parts, cs, judge, counts=counts, tick=tick):
        losses[place] += loss
        right[place] += hits
    n = sum(len(held) if counts is None else float(counts[held].sum()) for held in parts)
    return [{"c": float(c), "log_loss": float(losses[i] / n), "accuracy": float(right[i] / n)} for i, c in enumerate(cs)]


def _judge(logits: Floats, labels: Ints, classes: Ints, counts: Floats | None = None) -> tuple[float, float]:
    """Summed log loss (a class the fold never saw: -log 1e-12) and number right; by what each counts."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    truth = np.where((labels[:, None] == classes[None]).any(axis=1), (p * (labels[:, None] == classes[None])).sum(axis=1), 0.0)
    losses, right = -np.log(np.maximum(truth, 1e-12)), classes[logits.argmax(axis=1)] == labels
    return (float(losses.sum()), float(right.sum())) if counts is None else (float(losses @ counts), float(right @ counts))
