"""Units: what is independent in a test set, what is summed over each, and how sure a mean over them is. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Groups = Sequence[str] | Ints
"""One name or number an image, equal where images belong to one unit."""
NOTHING = 1e-12  #: an error so small is none


def numbered(groups: Groups) -> Ints:
    """[n] the number of each image's unit, from 0; units in the order of their names."""
    return np.asarray(np.unique(np.asarray(groups), return_inverse=True)[1], dtype=np.int64)


def unit_sizes(place: Ints) -> Ints:
    """[units] images of each; ``place`` as from ``numbered``."""
    return np.asarray(np.bincount(place), dtype=np.int64)


def unit_sums(values: NDArray[np.generic], place: Ints) -> Floats:
    """[..., units] sums of ``values`` [..., n] over the images of each unit."""
    count = int(place.max()) + 1 if len(place) else 0
    rows = np.asarray(values, dtype=np.float64).reshape(-1, len(place))
    found = np.stack([np.bincount(place, weights=row, minlength=count) for row in rows])
    return np.asarray(found.reshape(*np.shape(values)[:-1], count), dtype=np.float64)


def differences(right_a: Bools, right_b: Bools, groups: Groups) -> Ints:
    """[..., units] how many more images of each unit a gets right than b; ``right_*`` [..., n]."""
    sums = unit_sums(np.asarray(right_a, dtype=np.int64) - np.asarray(right_b, dtype=np.int64), numbered(groups))
    return np.asarray(np.rint(sums), dtype=np.int64)


def sides(right_a: Bools, right_b: Bools, groups: Groups) -> tuple[int, int]:
    """Units of which a gets more images right than b, and those of which b does."""
    found = differences(right_a, right_b, groups)
    return int((found > 0).sum()), int((found < 0).sum())


def ratio_p(gain: float, error: float, units: int) -> float:
    """One-sided p-value, by Student's t, of a gain with this standard error over ``units`` units. 1 where there is no error."""
    return float(special.stdtr(max(units - 1, 1), -gain / error)) if error >= NOTHING else 1.0


def standard_error(values: NDArray[np.generic], groups: Groups) -> float:
    """Of the mean of ``values`` [n] over units (Cochran 1977, ratio of unit sums to sizes); no less than one image moves it."""
    place = numbered(groups)
    sums, sizes, n = unit_sums(values, place), unit_sizes(place), len(place)
    rest = sums - sums.sum() / n * sizes
    return float(max(np.sqrt((rest**2).sum() * len(sizes) / max(len(sizes) - 1, 1)), 1.0) / n)
