"""What a model said about labelled images, and how metrics see it when images count more or less than once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Predictions:
    """``labels`` [n] in 0..c-1, ``probabilities`` [n, c] with rows of sum 1, ``groups`` [n]: equal where images are alike."""

    labels: Ints
    probabilities: Floats
    groups: Ints
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)  #: what several metrics need, by name

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def n_classes(self) -> int:
        return int(self.probabilities.shape[1])

    @cached_property
    def predicted(self) -> Ints:
        """[n] the class with the highest probability, the first of equals."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @cached_property
    def right(self) -> Bools:
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def confidence(self) -> Floats:
        """[n] the probability of the predicted class."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def truth(self) -> Floats:
        """[n, c] one-hot labels."""
        return np.eye(self.n_classes)[self.labels]

    @cached_property
    def log_losses(self) -> Floats:
        """[n] -log p(label), p not below the smallest float64 step at 1."""
        own = self.probabilities[np.arange(self.n), self.labels]
        return np.asarray(-np.log(np.clip(own, np.finfo(np.float64).eps, 1.0)))

    @cached_property
    def brier_scores(self) -> Floats:
        """[n] squared distance of probabilities and truth (Brier 1950), halved for two classes: 0 to 1 there, 0 to 2 else."""
        squared = ((self.probabilities - self.truth) ** 2).sum(axis=1)
        return np.asarray(squared / 2 if self.n_classes == 2 else squared)

    def ones(self) -> Weighted:
        """Every image once."""
        return Weighted(self, np.ones((self.n, 1)))


@dataclass(frozen=True)
class Weighted:
    """Predictions with ``weights`` [n, b]: b resamples, in each of which image i counts weights[i, b] times."""

    predictions: Predictions
    weights: Floats
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)  #: what several metrics need, by name

    @cached_property
    def total(self) -> Floats:
        """[b] images."""
        return np.asarray(self.weights.sum(axis=0))

    @cached_property
    def support(self) -> Floats:
        """[c, b] images of each class."""
        return np.asarray(self.predictions.truth.T @ self.weights)

    @cached_property
    def predicted(self) -> Floats:
        """[c, b] images predicted to be of each class."""
        return np.asarray(np.eye(self.predictions.n_classes)[self.predictions.predicted].T @ self.weights)

    @cached_property
    def right(self) -> Floats:
        """[c, b] right predictions of each class."""
        right = self.predictions.truth * self.predictions.right[:, None]
        return np.asarray(right.T @ self.weights)

    def mean(self, values: Floats) -> Floats:
        """[b] weighted mean of per-image ``values`` [n]."""
        return np.asarray(values @ self.weights / self.total)
