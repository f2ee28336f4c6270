"""Intervals of shares: Wilson's, also for images that come in groups, and of means of shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.statistics.estimate import Estimate

LEVEL = 0.95
Z = 1.959963984540054  # standard normal quantile of 0.975
TOO_FEW = 10  #: below so many images only counts are given


def wilson(k: float, n: float, z: float = Z) -> tuple[float, float]:
    """The score interval of a share k / n (Wilson 1927): all p with |k/n - p| <= z sqrt(p (1 - p) / n).

    ``k`` and ``n`` need not be whole (an effective number of images). (0, 1) where n is 0.
    """
    if n <= 0:
        return 0.0, 1.0
    share = k / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (0.0 if k <= 0 else float(middle - half)), (1.0 if k >= n else float(middle + half))


def effective_n(right: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """How many independent images say as much about a share as these do, where images of one group are alike.

    n / deff; deff = variance of the share over groups (ratio estimator) / (p (1 - p) / n), 1 at least (Korn and Graubard
    1998). Where all are right or all wrong, groups count as wholly alike: (sum m)^2 / sum m^2 over their sizes m (Kish 1965).
    """
    n = len(right)
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    count = len(sizes)
    if count == n:
        return float(n)
    share = right.mean()
    if share in (0.0, 1.0) or count < 2:
        return float(n**2 / (sizes.astype(np.float64) ** 2).sum())
    residuals = np.bincount(place, weights=right - share)
    variance = count / (count - 1) * (residuals**2).sum() / n**2
    return n / max(1.0, float(variance * n / (share * (1 - share))))


def share(right: NDArray[np.bool_], groups: NDArray[np.int64]) -> Estimate:
    """The share of True, with Wilson's interval at the effective number of images; counts only below TOO_FEW."""
    n, k = len(right), int(right.sum())
    if n == 0:
        return Estimate(None, None, None, 0, "no images", k=0)
    if n < TOO_FEW:
        return Estimate(k / n, None, None, n, "counts only", k=k)
    effective = effective_n(right, groups)
    low, high = wilson(k / n * effective, effective)
    return Estimate(k / n, low, high, n, "Wilson" if effective == n else f"Wilson at {effective:.0f} independent images", k=k)


def mean_of_shares(parts: Sequence[Estimate]) -> tuple[float, float]:
    """The interval of the plain mean of independent shares, from their own (MOVER: Donner and Zou 2012).

    low = mean - sqrt(sum (p_i - low_i)^2) / c, high likewise. Needs values and intervals in all parts.
    """
    value, low, high = (np.array([getattr(part, name) for part in parts]) for name in ("value", "low", "high"))
    mean, c = value.mean(), len(parts)
    below, above = np.sqrt(((value - low) ** 2).sum()) / c, np.sqrt(((high - value) ** 2).sum()) / c
    return max(0.0, float(mean - below)), min(1.0, float(mean + above))
