"""Features standardised for regressions, by blocks: neither they nor a copy of them need fit in memory twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.finite import finite
from jobs.heads.blocks import blocks_of

Floats = NDArray[np.float64]
Features = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
PRIOR = 10  #: images that the mean variance of all features counts as, beside each feature's own
BLOCK_BYTES = 16 * 2**20
"""Of features multiplied together."""
NEAR_BYTES = 2**20
"""Of features that are gone through number by number: as many as a core's own cache holds."""


@dataclass(frozen=True)
class Standard:
    """x -> (x - mean) / scale; both float64 [d]."""

    mean: Floats
    scale: Floats

    def __call__(self, x: Features, columns: slice = slice(None), precision: type[np.floating[Any]] = np.float32) -> Features:
        """Of [n, d] raw features, or of some of their columns."""
        mean, scale, z = self.mean[columns], self.scale[columns].astype(precision), np.empty(x.shape, precision)
        for rows in blocks_of(len(x), max(NEAR_BYTES // (8 * x.shape[1]), 1)):
            z[rows] = np.subtract(x[rows], mean, dtype=np.float64)
            z[rows] /= scale
        return z


def standard_of(features: Features, rows: Ints) -> Standard:
    """By each feature's standard deviation, its variance shrunk towards the mean one: n·v + PRIOR·mean(v) over n + PRIOR.

    The deviation of ten images says little: one that is small by luck makes its feature the loudest (variances shrunk as in
    regularised discriminant analysis: Friedman 1989, JASA 84; Schaefer and Strimmer 2005 for the target).
    Raises DataError where a feature is NaN or infinite: a search for a minimum would stop at its start without a word.
    """
    n, mean, variance = len(rows), np.zeros(features.shape[1]), np.zeros(features.shape[1])
    size = max(NEAR_BYTES // (8 * features.shape[1]), 1)
    for block in row_blocks(features, rows, size):
        mean += block.sum(axis=0, dtype=np.float64) / n
    finite(mean, "means of features")
    for block in row_blocks(features, rows, size):
        variance += np.square(block - mean).sum(axis=0) / n
    scale = np.sqrt((n * variance + PRIOR * variance.mean()) / (n + PRIOR))
    return Standard(mean, np.where(scale > 1e-12, scale, 1.0))


def row_blocks(features: Features, rows: Ints, size: int | None = None) -> Iterator[Features]:
    """Some rows after the others: [size, d] each, the last may be shorter; without ``size`` about BLOCK_BYTES."""
    size = size or max(BLOCK_BYTES // (4 * features.shape[1]), 1)
    for start in range(0, len(rows), size):
        yield features[rows[start : start + size]]


def column_slices(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Columns that take about BLOCK_BYTES together."""
    size = max(BLOCK_BYTES // (4 * n_rows), 256)
    for start in range(0, n_columns, size):
        yield slice(start, min(start + size, n_columns))
