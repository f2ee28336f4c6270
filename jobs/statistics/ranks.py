"""Agreement of two rankings whose tops matter most. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def weighted_tau(scores: Sequence[float], truth: Sequence[float]) -> float | None:
    """Vigna's (2015) weighted Kendall tau, hyperbolic weights by the ranks in either, averaged: 1 where both rank alike.

    None where it is not defined: fewer than two, or all alike in one of them.
    """
    if len(scores) < 2:
        return None
    from scipy import stats  # takes seconds to import, and few advices need it

    value = float(stats.weightedtau(list(scores), list(truth)).statistic)
    return value if math.isfinite(value) else None
