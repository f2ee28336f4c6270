"""The log loss of softmax outputs, its derivatives and curvatures. Arrays are [classes, n]; they are overwritten where said."""

from __future__ import annotations

import numpy as np

from jobs.heads.newton import Values
from jobs.heads.standard import Ints

SURE = 1e-6  #: what 1 - ‖p‖² is at least, where rounding leaves nothing


def softmax(outputs: Values) -> Values:
    """Of ``outputs`` [k, n], which are overwritten, by columns."""
    outputs -= outputs.max(axis=0)
    np.exp(outputs, out=outputs)
    outputs /= outputs.sum(axis=0)
    return outputs


def curved(chances: Values, moved: Values, counts: Values) -> Values:
    """How residuals [k, n] change where outputs are ``moved`` [k, n], which is overwritten: counts · (diag p - p pᵀ) moved."""
    moved *= chances
    moved -= chances * moved.sum(axis=0)
    moved *= counts
    return moved


def cross_entropy(outputs: Values, labels: Ints, counts: Values, chances: Values | None = None) -> tuple[float, Values, Values]:
    """Of ``outputs`` [k, n], which are overwritten: Σ counts · log loss, its derivative by them [k, n], and each image's
    curvature [n], counts · (1 - ‖p‖²) / (k - 1). Probabilities p are put into ``chances`` [k, n] where it is given."""
    places = np.arange(len(labels))
    outputs -= outputs.max(axis=0)
    own = outputs[labels, places]
    np.exp(outputs, out=outputs)
    total = outputs.sum(axis=0)
    outputs /= total
    if chances is not None:
        chances[...] = outputs
    loss = float(np.vdot((np.log(total) - own).astype(np.float64), counts))
    curvature = counts * np.maximum(1 - np.einsum("kn,kn->n", outputs, outputs), SURE) / (len(outputs) - 1)
    outputs[labels, places] -= 1
    outputs *= counts
    return loss, outputs, curvature
