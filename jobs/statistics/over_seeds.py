"""Several seeds: they and the units as crossed random effects, both drawn from all that might have been drawn. Pure.

The mean squares of Dorfman, Berbaum and Metz (1992), seeds in the place of readers; and a mean over seeds: its interval for
other seeds, too, from that for other test images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jobs.statistics.score import quantile
from jobs.statistics.units import Floats

LEVEL = 0.05


@dataclass(frozen=True)
class MeanSquares:
    """Of values by seeds and units: of the seeds, of the units, and of what neither explains."""

    seeds: float
    units: float
    rest: float


def mean_squares(values: Floats) -> MeanSquares:
    """Of ``values`` [seeds, units], two of each at least; with one unit nothing is known of units, and the rest is 0."""
    seeds, units = values.shape
    mean, by_seed, by_unit = values.mean(), values.mean(axis=1), values.mean(axis=0)
    between = units * float(((by_seed - mean) ** 2).sum()) / (seeds - 1)
    if units == 1:
        return MeanSquares(between, 0.0, 0.0)
    over_units = seeds * float(((by_unit - mean) ** 2).sum()) / (units - 1)
    rest = values - by_seed[:, None] - by_unit[None, :] + mean
    return MeanSquares(between, over_units, float((rest**2).sum()) / ((seeds - 1) * (units - 1)))


def widened(value: float, low: float, high: float, by_seed: Floats, resampled: Floats) -> tuple[float, float]:
    """The interval of the mean ``value`` of ``by_seed`` [seeds] over all seeds that might have been drawn.

    ``low``, ``high``: for other test images and these seeds alone. ``resampled`` [seeds, b]: each seed's value on the same
    resampled test sets; what it varies there against the mean of the seeds is no spread of seeds, and is taken off. As in
    jobs.statistics.score the larger of two: Student's t with the degrees of freedom of Hillis (2007), and the sum of squares
    of what images and what seeds allow each on its own (Howe 1974; MOVER: each side has its own distance).
    """
    seeds = len(by_seed)
    between = float(np.var(by_seed, ddof=1))
    rest = float(np.nanvar(resampled - resampled.mean(axis=0), axis=1).sum()) / (seeds - 1)
    images = float(np.nanvar(resampled.mean(axis=0)))
    return widened_by(value, low, high, seeds, between / seeds, rest / seeds, images)


def widened_by(
    value: float, low: float, high: float, seeds: int, between: float, rest: float, images: float
) -> tuple[float, float]:
    """The same from variances: of the mean over ``seeds`` as they vary (``between``), what of that is chance (``rest``), and of
    the mean over other test images."""
    excess, alone = max(between - rest, 0.0), max(between - rest / 2, 0.0)
    floor = max(between, rest)
    df = max((seeds - 1) * ((images + excess) / floor) ** 2, seeds - 1.0) if floor > 1e-15 else math.inf
    normal, joint, own = quantile(math.inf, LEVEL), quantile(df, LEVEL), quantile(seeds - 1.0, LEVEL)

    def reach(side: float) -> float:
        return max(joint / normal * math.sqrt(side**2 + normal**2 * excess), math.sqrt(side**2 + own**2 * alone))

    return value - reach(value - low), value + reach(high - value)
