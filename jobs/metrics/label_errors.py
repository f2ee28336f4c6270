"""Labels that are probably wrong: each image judged by a model that has not seen it, the surest disagreements first.

Ranked as confident learning's normalised margin does (Northcutt, Jiang and Chuang 2021, JAIR 70), on the scale of log odds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.statistics.predictions import Floats, Ints

KEPT = 200
FOLDS = 5
CS = (3e-4, 1e-3, 3e-3)
"""Inverse penalties tried: strong ones, as wrong labels are to be seen, not learnt."""
WIDE, PROJECTED = 2048, 1024  #: wider features are projected first: a flattened map must not cost hours
EPS = 1e-12
NEAR = 1e-6
"""How near each regression comes to its minimum, as a share of its loss: probabilities are right to about 0.005."""
UNSEEN = 20.0  #: by which the logit of a class that was not learnt lies below the least intercept of those that were


@dataclass(frozen=True)
class Suspect:
    """``place`` in the judged images; ``other`` is the likeliest class but the label; probabilities of both."""

    place: int
    label: int
    other: int
    p_label: float
    p_other: float

    @property
    def margin(self) -> float:
        """p(other) - p(label), in [-1, 1]."""
        return self.p_other - self.p_label


def rank(probabilities: Floats, labels: Ints, kept: int = KEPT) -> list[Suspect]:
    """Images whose label another class beats, by falling log p(other) / p(label): unlike the margin it never saturates.

    ``probabilities`` [n, c], ``labels`` [n]; at most ``kept``.
    """
    other, odds = log_odds(probabilities, labels)
    order = [int(i) for i in np.argsort(-odds, kind="stable") if odds[i] > 0][:kept]
    p = [(float(probabilities[i, labels[i]]), float(probabilities[i, other[i]])) for i in order]
    return [Suspect(i, int(labels[i]), int(other[i]), *both) for i, both in zip(order, p, strict=True)]


def log_odds(probabilities: Floats, labels: Ints) -> tuple[Ints, Floats]:
    """[n] the likeliest class but the label, and [n] log p(other) / p(label): the higher, the more suspect the label."""
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -1.0
    other = others.argmax(axis=1)
    p_label, p_other = probabilities[rows, labels], probabilities[rows, other]
    return other, np.log(np.maximum(p_other, EPS)) - np.log(np.maximum(p_label, EPS))


def out_of_fold(
    features: NDArray[np.float32],
    labels: Ints,
    n_classes: int,
    groups: Ints,
    *,
    cs: Sequence[float] = CS,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Floats:
    """[n, n_classes] probabilities of a logistic regression that has not seen the image nor any of its group.

    Of ``cs`` (inverse penalties on standardised features) the one with the lowest held-out log loss is taken. Where there is
    nothing to compare with (all other images are of one class), all classes are equally likely.
    """
    from jobs.heads.held_out import Outputs, held_out
    from jobs.metrics.calibration import softmax

    fold_of, features = folds_of(labels, groups), narrowed(features)
    probabilities = np.full((len(cs), len(labels), n_classes), 1.0 / n_classes)

    def keep(said: Outputs) -> None:
        logits = np.full((len(said.held), n_classes), said.lowest - UNSEEN)
        logits[:, said.classes] = said.logits
        probabilities[said.place, said.held] = softmax(logits)

    parts = [np.flatnonzero(fold_of == number) for number in np.unique(fold_of)]
    held_out(features, labels, parts, cs, keep, relative=NEAR, tick=tick)
    own = probabilities[:, np.arange(len(labels)), labels]
    losses = -np.log(np.maximum(own, EPS)).mean(axis=1)
    return np.asarray(probabilities[int(losses.argmin())])


def narrowed(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n, d] as they are up to WIDE, else standardised and projected onto PROJECTED random directions."""
    n, d = features.shape
    if d <= WIDE:
        return features
    chance = np.random.default_rng(0)
    projected = np.zeros((n, PROJECTED), dtype=np.float32)
    for start in range(0, d, WIDE):
        block = features[:, start : start + WIDE]
        spread = block.std(axis=0)
        block = (block - block.mean(axis=0)) / np.where(spread > EPS, spread, 1.0)
        projected += block @ chance.standard_normal((block.shape[1], PROJECTED), dtype=np.float32) / np.sqrt(np.float32(d))
    return projected


def folds_of(labels: Ints, groups: Ints, folds: int = FOLDS) -> Ints:
    """[n] fold of each image: the units of each class dealt out in turn, in an order drawn once; a unit stays together."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    chance = np.random.default_rng(0).permutation(len(first))
    order = np.lexsort((chance, labels[first]))
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % folds
    return fold[place]
