"""Class means of normalised features: an image is of the class whose mean its features point to most (cosine).

Nearest class means as in prototypical networks (Snell, Swersky and Zemel 2017) with the cosine of Chen et al. (2019), on
features that are not trained for it. One label a class is enough, and nothing is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TINY = 1e-12  #: features of length 0 have no direction


@dataclass(frozen=True)
class ClassMeans:
    """Logits of raw features x are ``scale`` * cos(x, ``means``): ``means`` [classes, d] of length 1, or 0 without images."""

    means: Floats
    scale: float

    @property
    def chosen(self) -> dict[str, Any]:
        return {"scale": self.scale}

    @property
    def sentence(self) -> str:
        return f"the means of {len(self.means)} classes"

    def logits(self, features: NDArray[np.float32]) -> Floats:
        return np.asarray(self.scale * (normalised(features) @ self.means.T))


def fit(features: NDArray[np.float32], labels: Ints, n_classes: int, *, scale: float) -> ClassMeans:
    """``features`` [n, d], ``labels`` [n] in 0..n_classes-1."""
    sums = np.eye(n_classes)[labels].T @ normalised(features)
    return ClassMeans(normalised(sums), float(scale))


def normalised(rows: NDArray[np.floating[Any]]) -> Floats:
    """Rows [n, d] of length 1, as float64; what has no length stays 0."""
    x = np.asarray(rows, dtype=np.float64)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > TINY, length, 1.0) * (length > TINY))
