"""Several seeds: a mean over seeds and units as an estimate over all that might have been drawn of either. Pure.

Dorfman, Berbaum and Metz (1992) with the degrees of freedom of Hillis (2007): seeds take the place of readers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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


def crossed(values: Floats) -> Spread:
    """The mean of ``values`` [seeds, units] over all seeds and all units that might have been drawn."""
    seeds, images = values.shape
    mean, by_seed, by_image = values.mean(), values.mean(axis=1), values.mean(axis=0)
    ms_seeds = images * float(((by_seed - mean) ** 2).sum()) / (seeds - 1)
    ms_images = seeds * float(((by_image - mean) ** 2).sum()) / (images - 1)
    rest = values - by_seed[:, None] - by_image[None, :] + mean
    ms_rest = float((rest**2).sum()) / ((seeds - 1) * (images - 1))
    ms_seeds = max(ms_seeds, ms_rest)  # seeds that agree by chance more than images allow prove nothing
    total = ms_seeds + max(ms_images - ms_rest, 0.0)
    df = (seeds - 1) * (total / ms_seeds) ** 2 if ms_seeds > 1e-12 else float(images - 1)
    return Spread(float(mean), float(np.sqrt(total / values.size)), df)
