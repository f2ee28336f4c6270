"""Several seeds: a mean over seeds and units as an estimate over all that might have been drawn of either. Pure.

Dorfman, Berbaum and Metz (1992) with the degrees of freedom of Hillis (2007): seeds take the place of readers.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy import special

from jobs.statistics.units import Floats

LEVEL, POWER = 0.05, 0.8


@dataclass(frozen=True)
class Spread:
    """A mean with its standard error and degrees of freedom."""

    mean: float
    se: float
    df: float

    @property
    def low(self) -> float:
        return self.mean - self._t(1 - LEVEL / 2) * self.se

    @property
    def high(self) -> float:
        return self.mean + self._t(1 - LEVEL / 2) * self.se

    @property
    def p(self) -> float:
        return float(2 * special.stdtr(self.df, -abs(self.mean) / self.se)) if self.se else float(self.mean == 0)

    @property
    def smallest(self) -> float:
        return (self._t(1 - LEVEL / 2) + self._t(POWER)) * self.se

    def _t(self, quantile: float) -> float:
        return float(special.stdtrit(self.df, quantile))


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
