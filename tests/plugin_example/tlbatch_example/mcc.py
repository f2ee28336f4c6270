"""Matthews' correlation coefficient of any number of classes (Gorodkin 2004), in resamples of the test images."""

from __future__ import annotations

import numpy as np

from jobs.statistics.predictions import Floats, Weighted


def mcc(w: Weighted) -> Floats:
    """[b]; 0 where all images are of one class, or all are predicted to be, as scikit-learn has it."""
    right, total = w.right.sum(axis=0), w.total
    chance = (w.support * w.predicted).sum(axis=0)
    spread = (total**2 - (w.support**2).sum(axis=0)) * (total**2 - (w.predicted**2).sum(axis=0))
    return np.asarray(np.divide(right * total - chance, np.sqrt(spread), out=np.zeros_like(total), where=spread > 0))
