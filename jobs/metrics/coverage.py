"""How accuracy rises when the least confident images are left to people (selective prediction; Geifman and El-Yaniv 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np

from jobs.statistics.predictions import Predictions

POINTS = 50


def coverage_curve(predictions: Predictions) -> dict[str, Any]:
    """``points``: accuracy among the share ``coverage`` of most confident images, whose confidence is ``threshold`` at least.

    Images of equal confidence come in together. ``aurc``: area under the risk-coverage curve, the mean error rate over all
    coverages (0 is best); within equal confidences the errors count as spread evenly.
    """
    order = np.argsort(-predictions.confidence, kind="stable")
    confidence, right = predictions.confidence[order], predictions.right[order]
    ends = np.flatnonzero(np.append(np.diff(confidence) != 0, True))
    taken, hits = ends + 1, np.cumsum(right)[ends]
    n = predictions.n
    wanted = np.searchsorted(taken, np.linspace(1, POINTS, POINTS) / POINTS * n - 1e-9)
    points = [
        {
            "coverage": float(taken[i] / n),
            "accuracy": float(hits[i] / taken[i]),
            "threshold": float(confidence[ends[i]]),
            "n": int(taken[i]),
        }
        for i in np.unique(np.minimum(wanted, len(taken) - 1))
    ]
    errors = np.interp(np.arange(1, n + 1), np.append(0, taken), np.append(0, taken - hits))
    return {"points": points, "aurc": float((errors / np.arange(1, n + 1)).mean())}
