"""What chance alone makes of the calibration error of a perfectly calibrated model. Pure."""

from __future__ import annotations

import numpy as np

from jobs.statistics.units import Floats, Ints

SIMULATIONS = 2000


def perfect_error(confidence: Floats, bins: Ints, seed: int = 0, simulations: int = SIMULATIONS) -> tuple[float, float]:
    """Mean and 95 % quantile of the error that a perfectly calibrated model shows on this many images, in bins ``bins`` [n].

    By simulation: image i is right with probability confidence[i], ``simulations`` times.
    """
    n = len(confidence)
    order = np.argsort(bins, kind="stable")
    sorted_confidence, sorted_bins = confidence[order], bins[order]
    starts = np.flatnonzero(np.append(True, np.diff(sorted_bins) != 0))
    chance = np.random.default_rng(seed)
    errors = np.empty(simulations)
    step = max(1, 2**22 // max(n, 1))
    for start in range(0, simulations, step):
        count = min(step, simulations - start)
        gap = (chance.random((count, n)) < sorted_confidence) - sorted_confidence
        errors[start : start + count] = np.abs(np.add.reduceat(gap, starts, axis=1)).sum(axis=1) / n
    return float(errors.mean()), float(np.quantile(errors, 0.95))
