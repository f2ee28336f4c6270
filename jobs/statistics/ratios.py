"""A value over its standard error, held against Student's t. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from jobs.statistics.units import Groups, numbered, unit_sizes, unit_sums

NOTHING = 1e-12  #: an error so small is none


def ratio_p(gain: float, error: float, units: int) -> float:
    """One-sided p-value of a gain with this standard error over ``units`` units. 1 where there is no error."""
    return float(special.stdtr(max(units - 1, 1), -gain / error)) if error >= NOTHING else 1.0


def standard_error(values: NDArray[np.generic], groups: Groups) -> float:
    """Of the mean of ``values`` [n] over units (Cochran 1977, ratio of unit sums to sizes); no less than one image moves it."""
    place = numbered(groups)
    sums, sizes, n = unit_sums(values, place), unit_sizes(place), len(place)
    rest = sums - sums.sum() / n * sizes
    return float(max(np.sqrt((rest**2).sum() * len(sizes) / max(len(sizes) - 1, 1)), 1.0) / n)
