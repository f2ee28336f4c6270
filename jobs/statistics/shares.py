"""Intervals of shares: Wilson's, also for images that come in groups, and of means of shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from jobs.statistics.clusters import degrees_of_freedom, design_effect
from jobs.statistics.estimate import Estimate
from jobs.statistics.predictions import Predictions
from jobs.statistics.score import quantile
from jobs.statistics.units import Groups, numbered, unit_sizes
from tlbatch import nouns

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


def effective_n(right: NDArray[np.generic], groups: Groups) -> float:
    """How many independent images say as much about a share as these do: n over the design effect of their units."""
    return len(right) / design_effect(np.asarray(right, dtype=np.float64), numbered(groups)) if len(right) else 0.0


def share_interval(right: NDArray[np.generic], groups: Groups) -> tuple[float, float, float]:
    """Wilson's interval of the mean of ``right`` [n] (0 to 1) at the effective number of images, and that number.

    Units of several images have Student's t in place of the normal quantile, with their effective number less one for degrees
    of freedom; one unit alone says nothing: 0 to 1.
    """
    effective = effective_n(right, groups)
    z = quantile(degrees_of_freedom(unit_sizes(numbered(groups))), 1 - LEVEL) if len(right) else math.inf
    if math.isinf(z):
        return 0.0, 1.0, effective
    return *wilson(float(np.asarray(right, dtype=np.float64).mean()) * effective, effective, z), effective


def exact_share_interval(right: NDArray[np.generic], groups: Groups) -> tuple[float, float]:
    """Clopper and Pearson's (1934) interval of the mean of ``right`` [n] (0 to 1) at the effective number of images.

    Wider than Wilson's, which falls below its level for high shares of ten images, and more so joined over classes.
    """
    n = effective_n(right, groups)
    k = float(np.asarray(right, dtype=np.float64).mean()) * n
    tail = (1 - LEVEL) / 2
    low = float(special.betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    return low, float(special.betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0


def share(right: NDArray[np.bool_], groups: Groups) -> Estimate:
    """The share of True, with Wilson's interval at the effective number of images; counts only below TOO_FEW."""
    n, k = len(right), int(right.sum())
    if n == 0:
        return Estimate(None, None, None, 0, f"no {nouns.items()}", k=0)
    if n < TOO_FEW:
        return Estimate(k / n, None, None, n, "counts only", k=k)
    low, high, effective = share_interval(right, groups)
    return Estimate(
        k / n, low, high, n, "Wilson" if effective == n else f"Wilson at {effective:.0f} independent {nouns.items()}", k=k
    )


def held_out_share(right: NDArray[np.bool_], groups: Groups) -> Estimate:
    """The share of True where each unit was judged by what the others alone taught, also of fewer than ten.

    Such answers hang together, as each pair of teachings shares all units but two: Wilson's interval has Student's t with units
    - 1 degrees of freedom for its quantile. Simulated (nearest class means, 3 to 20 units): it covers the share that all units
    together would teach in .95 to 1, with the normal quantile in .90 to .95.
    """
    effective = effective_n(right, groups)
    units = len(unit_sizes(numbered(groups)))
    z = quantile(min(units - 1, degrees_of_freedom(unit_sizes(numbered(groups)))), 1 - LEVEL)
    low, high = (0.0, 1.0) if math.isinf(z) else wilson(float(right.mean()) * effective, effective, z)
    return Estimate(
        float(right.mean()), low, high, len(right), "Wilson with Student's t, each unit held out", k=int(right.sum())
    )


def mean_of_shares(parts: Sequence[Estimate]) -> tuple[float, float]:
    """The interval of the plain mean of independent shares, from their own (MOVER: Donner and Zou 2012).

    low = mean - sqrt(sum (p_i - low_i)^2) / c, high likewise. Needs values and intervals in all parts.
    """
    value, low, high = (np.array([getattr(part, name) for part in parts]) for name in ("value", "low", "high"))
    mean, c = value.mean(), len(parts)
    below, above = np.sqrt(((value - low) ** 2).sum()) / c, np.sqrt(((high - value) ** 2).sum()) / c
    return max(0.0, float(mean - below)), min(1.0, float(mean + above))


def class_shares(predictions: Predictions) -> list[Estimate]:
    """The recall of each class that has images, with Wilson's interval, also of fewer than ten."""
    shares = []
    for label in np.unique(predictions.labels):
        inside = predictions.labels == label
        low, high, _ = share_interval(predictions.right[inside], predictions.groups[inside])
        shares.append(Estimate(float(predictions.right[inside].mean()), low, high, int(inside.sum()), "Wilson"))
    return shares


def reach_of_recalls(value: float, models: Sequence[Predictions]) -> tuple[float, float]:
    """As far from ``value`` as Wilson's intervals of the classes' recalls (joined by MOVER) reach, the mean over models.

    For a metric that is a kind of share where all resamples give the value itself, which proves nothing.
    """
    reaches = np.mean([mean_of_shares(class_shares(model)) for model in models], axis=0)
    return max(0.0, min(float(reaches[0]), value)), min(1.0, max(float(reaches[1]), value))
