"""Several tests at once: Holm's correction and that of Benjamini and Hochberg. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the same order: rejecting those below alpha, any false rejection has chance alpha (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    adjusted, running = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = running
    return adjusted


def holm_levels(p_values: Sequence[float], alpha: float) -> list[float]:
    """The level that each test is made at, in the same order: rejected are those with p below it.

    alpha / m for the smallest of m, alpha / (m - 1) for the next, and so on; the first that is not rejected keeps its level
    for all that come after it.
    """
    n, level = len(p_values), 0.0
    levels, open_ = [alpha] * n, True
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        if open_:
            level = alpha / (n - rank)
            open_ = (n - rank) * p_values[place] < alpha
        levels[place] = level
    return levels


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the same order: rejecting those below q keeps the false discovery rate at q (1995)."""
    n = len(p_values)
    order = np.argsort(p_values, kind="stable")[::-1]
    adjusted, running = [1.0] * n, 1.0
    for rank, place in enumerate(order):
        running = min(running, p_values[place] * n / (n - rank))
        adjusted[place] = running
    return adjusted
