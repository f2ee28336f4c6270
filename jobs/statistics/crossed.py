"""Several seeds: seeds and units as crossed random effects, both drawn from all that might have been drawn. Pure.

The mean squares of Dorfman, Berbaum and Metz (1992); seeds take the place of readers.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobs.statistics.units import Floats


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
