"""Nearest neighbours by cosine: an image is of the class that most of the k nearest training images are of.

Equal votes go to the class whose neighbours are nearer: by the order of the classes, which scikit-learn takes, the first would
win more often than it should. k is chosen as a logistic regression's C is: by stratified cross-validation on train.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.heads.folds import can_fold, folds_of
from jobs.heads.prototypes import normalised

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DEFAULT_K = 1
"""Where there is nothing to choose by: no class has two images that may lie in two folds."""
CLOSENESS = 0.01
"""Of a vote, shared by all k: what the neighbours' cosines add to their votes, so that they decide between equals only."""
CHUNK = 512


@dataclass(frozen=True)
class Neighbours:
    """``items`` [n, d] of length 1 and their ``labels`` [n]; ``k`` of them vote. ``cv``: what was tried, if anything."""

    items: Floats
    labels: Ints
    n_classes: int
    k: int
    cv: list[dict[str, Any]] = field(default_factory=list)
    only: bool = False  #: whether one k was asked for

    @property
    def chosen(self) -> dict[str, Any]:
        return {"k": self.k, "cv": self.cv}

    @property
    def sentence(self) -> str:
        if self.cv:
            return f"k = {self.k}, chosen by cross-validation"
        return f"k = {self.k}" + ("" if self.only else ": too few labels to choose by")

    def logits(self, features: NDArray[np.float32]) -> Floats:
        """log((votes + 1 / classes) / (k + 1)), the cosines' part among the votes."""
        return np.log((self.votes(features) + 1 / self.n_classes) / (self.k + 1))

    def votes(self, features: NDArray[np.float32]) -> Floats:
        """[n, classes], between 0 and k + CLOSENESS."""
        pieces = [np.zeros((0, self.n_classes))]
        for start in range(0, len(features), CHUNK):
            near, closeness = _nearest(self.items, normalised(features[start : start + CHUNK]), self.k)
            pieces.append(_votes(self.labels[near], closeness, self.n_classes, [self.k])[0])
        return np.concatenate(pieces)


def fit(
    features: NDArray[np.float32],
    labels: Ints,
    n_classes: int,
    *,
    ks: Sequence[int],
    folds: int,
    seed: int,
    groups: Sequence[str] | None = None,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Neighbours:
    """``features`` [n, d], ``labels`` [n] in 0..n_classes-1; images of one of ``groups`` stay in one fold.

    Of several ``ks`` the one with most right held-out images is taken (the smallest of equals). None is more than n.
    """
    items, asked = normalised(features), sorted({min(k, len(labels)) for k in ks})
    if len(asked) == 1:
        return Neighbours(items, labels, n_classes, asked[0], only=True)
    if not can_fold(labels, groups):
        return Neighbours(items, labels, n_classes, min(DEFAULT_K, len(labels)))
    right = np.zeros(len(asked))
    parts = folds_of(labels, folds, seed, groups)
    for number, held in enumerate(parts):
        kept = np.setdiff1d(np.arange(len(labels)), held)
        near, closeness = _nearest(items[kept], items[held], min(asked[-1], len(kept)))
        votes = _votes(labels[kept][near], closeness, n_classes, asked)
        right += [(each.argmax(axis=1) == labels[held]).sum() for each in votes]
        tick(number + 1, len(parts))
    cv = [{"k": k, "accuracy": float(hits / len(labels))} for k, hits in zip(asked, right, strict=True)]
    return Neighbours(items, labels, n_classes, asked[int(right.argmax())], cv)


def _nearest(items: Floats, queries: Floats, k: int) -> tuple[Ints, Floats]:
    """[n, k] places of the nearest items, nearest first (the earlier of equals), and their cosines."""
    cosines = queries @ items.T
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(cosines, order, axis=1)


def _votes(classes: Ints, closeness: Floats, n_classes: int, ks: Sequence[int]) -> list[Floats]:
    """For each of ``ks`` [n, n_classes] votes of the first k neighbours, of ``classes`` [n, neighbours]."""
    found = []
    for k in ks:
        most = min(k, classes.shape[1])
        weights = 1 + CLOSENESS / k * (closeness[:, :most] + 1) / 2
        one_hot = np.eye(n_classes)[classes[:, :most]]
        found.append(np.asarray((one_hot * weights[:, :, None]).sum(axis=1)))
    return found
