"""Multinomial logistic regression on standardised features, its C chosen by stratified cross-validation on the training images.

C is the inverse strength of the L2 penalty as scikit-learn has it: minimise ½‖W‖² + C · Σ log loss; the intercept is free.
What is returned is the one minimum (jobs.heads.multinomial): how it was searched for leaves no trace beyond EXACT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.heads.cores import WORTH_SHARING, one_thread, threads
from jobs.heads.folds import can_fold, folds_of
from jobs.heads.held_out import (
    CHOOSING,
    SMALL,
    Form,
    Learnt,
    Outputs,
    begun,
    held_out,
    images_of,
    losses_of,
    search,
    size_of,
    started,
    walk,
)
from jobs.heads.multinomial import ByRows, Images
from jobs.heads.race import race
from jobs.heads.sketched import first_form
from jobs.heads.standard import Floats, Ints
from jobs.statistics.units import numbered
from tlbatch import nouns
from tlbatch.errors import DataError

DEFAULT_C = 1.0
"""Where several C may be chosen from and nothing tells them apart: no class has two images that may lie in two folds."""
EXACT = 1e-9
"""How far the loss of what is returned may be above its minimum, as a share of it: probabilities agree to a few 1e-4."""
ENOUGH = 3
"""Folds from whose mean the search for the regression that is kept begins; where images are few beside features it is no nearer
from less than from nothing, else one fold will do."""
READY_BYTES = 128 * 2**20  #: of Gram matrices that are made beside the first fold
Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class Fitted:
    """Logits of raw features x are ``x @ weight.T + bias``: ``weight`` [classes, d], ``bias`` [classes], float64.

    ``excess``: how far above its minimum its search stopped, as a share of the loss; ``folds_excess``: at most, of the folds.
    """

    weight: Floats
    bias: Floats
    c: float
    cv: list[dict[str, Any]]
    only: bool = False  #: whether one C was asked for
    excess: float = 0.0
    folds_excess: float = 0.0

    @property
    def chosen(self) -> dict[str, Any]:
        return {"c": self.c, "cv": self.cv}

    @property
    def sentence(self) -> str:
        how = ", chosen by cross-validation" if self.cv else "" if self.only else ": too few labels to choose by"
        asked = ((self.excess, EXACT, "its search"), (self.folds_excess, CHOOSING, "that of a fold"))
        stopped = [
            f"{what} stopped {excess:.1g} of the loss above the minimum" for excess, most, what in asked if excess > 10 * most
        ]
        return "; ".join([f"C = {self.c:g}{how}", *stopped])

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
    two folds, as with one label a class. But for small problems a C that is clearly worse is not tried on all folds
    (jobs.heads.race). Classes without images get a very low logit.
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
    parts = folds_of(labels, folds, seed, groups) if len(cs) > 1 and can_fold(labels, groups) else []
    total = len(parts) * len(cs) + 1
    images = images_of(features, labels, np.arange(len(labels)), _counts(labels, weights))
    kept = _Kept(images)
    choice = _chosen(features, labels, list(cs), parts, weights, groups, kept.make_ready, lambda done, _: tick(done, total))
    shared, workers = images.work >= WORTH_SHARING, threads()
    with one_thread(not (shared and images.by_rows)):
        start = started(images, present, _mean_of(choice.learnt, present, ENOUGH if images.by_rows else 1))
        (weight, bias), excess = _minimum(kept.form(workers), choice.c, start, workers, lambda: tick(total - 1, total))
    tick(total, total)
    weight = weight / images.standard.scale
    bias = bias - weight @ images.standard.mean
    whole_weight, whole_bias = np.zeros((n_classes, features.shape[1])), np.full(n_classes, bias.min() - 20.0)
    whole_weight[present], whole_bias[present] = weight, bias
    return Fitted(whole_weight, whole_bias, choice.c, choice.cv, len(cs) == 1, excess, choice.excess)


def _counts(labels: Ints, weights: Floats | None) -> Floats:
    return np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=np.float64)


@dataclass(frozen=True)
class _Choice:
    """Of C: what came of each that was tried, nothing where there was nothing to choose from or by; what folds learnt by it.

    ``excess``: how far above its minimum a fold's search stopped at most, as a share of the loss.
    """

    c: float
    cv: list[dict[str, Any]]
    learnt: list[Learnt] = field(default_factory=list)
    excess: float = 0.0


def _chosen(
    features: NDArray[np.float32],
    labels: Ints,
    cs: list[float],
    parts: Sequence[Ints],
    weights: Floats | None,
    groups: Sequence[str] | None,
    beside: Callable[[], None],
    tick: Tick,
) -> _Choice:
    if not parts:
        return _Choice(DEFAULT_C if len(cs) > 1 else float(cs[0]), [])
    if size_of(labels) > SMALL:
        units = np.arange(len(labels)) if groups is None else numbered(groups)
        counts = _counts(labels, weights)
        judge = partial(losses_of, labels=labels)
        found = race(
            features, labels, parts, cs, judge, counts=counts, units=units, relative=CHOOSING, beside=beside, tick=tick
        )
        return _Choice(float(cs[found.place]), found.rows, found.learnt, found.excess)
    cv, excess = _cross_validate(features, labels, cs, parts, weights, tick)
    return _Choice(float(min(cv, key=lambda row: (row["log_loss"], row["c"]))["c"]), cv, excess=excess)


def _mean_of(learnt: Sequence[Learnt], classes: Ints, enough: int) -> Learnt | None:
    """Of what folds learnt of all ``classes``: near what all images tell, where each was learnt from by most of ``enough``."""
    whole = [each for each in learnt if np.array_equal(each.classes, classes)]
    if len(whole) < enough:
        return None
    weight = sum((each.weight for each in whole), np.zeros_like(whole[0].weight)) / np.float32(len(whole))
    return Learnt(classes, weight, np.mean([each.bias for each in whole], axis=0))


class _Kept:
    """The regression that is kept: its form may be made before there is a C."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._form: Form | None = None

    def make_ready(self) -> None:
        """Where it takes so little memory that the folds have enough: the form, and what a search in float64 asks of it."""
        if self._images.by_rows and 12 * len(self._images.rows) ** 2 <= READY_BYTES:
            self._form = first_form(self._images)
            if isinstance(self._form, ByRows):
                self._form.exactly()

    def form(self, workers: int) -> Form:
        return self._form or first_form(self._images, workers)


def _minimum(
    regression: Form, c: float, start: tuple[Floats, Floats] | None, workers: int, check: Callable[[], None]
) -> tuple[tuple[Floats, Floats], float]:
    """Weights [k, d] of standardised features and intercepts [k], near in float32, there in float64; and how near."""
    regression, point = begun(regression, start, c, workers) if start else (regression, regression.start())
    regression, point = walk(regression, point, c if start else None, c, CHOOSING, check, workers)
    regression, found = search(regression, regression.settled(point.astype(np.float64)), EXACT, check, workers)
    return regression.weights(found.point), found.share


def _cross_validate(
    x: NDArray[np.float32], labels: Ints, cs: list[float], parts: Sequence[Ints], counts: Floats | None, tick: Tick
) -> tuple[list[dict[str, Any]], float]:
    """For each C the mean held-out log loss and accuracy over the folds; each fold standardises by its own training part.

    And how far above its minimum a search stopped at most.
    """

    def judge(said: Outputs) -> tuple[int, float, float, float]:
        losses, right = losses_of(said, labels)
        if counts is None:
            return said.place, float(losses.sum()), float(right.sum()), said.excess
        return said.place, float(losses @ counts[said.held]), float(right @ counts[said.held]), said.excess

    losses, right, most = np.zeros(len(cs)), np.zeros(len(cs)), 0.0
    for place, loss, hits, excess in held_out(x, labels, parts, cs, judge, counts=counts, tick=tick):
        losses[place] += loss
        right[place] += hits
        most = max(most, excess)
    n = sum(len(held) if counts is None else float(counts[held].sum()) for held in parts)
    rows = [{"c": float(c), "log_loss": float(losses[i] / n), "accuracy": float(right[i] / n)} for i, c in enumerate(cs)]
    return rows, most
