"""How much less images of one unit say than independent ones: the design effect. Pure.

Between 1, where images of a unit have nothing in common, and Kish's (1965) sum m^2 / sum m over the sizes m of the units, where
they are wholly alike. In between it is 1 + r (sum m^2 / sum m - 1), r the correlation of two images of one unit (Donner and
Birkett 2003). The estimate of r is weighed as ``PRIOR`` units that are wholly alike beside those that tell something; the
variance over units as it is (a ratio estimator's) counts where it is larger. Coverage is shown in tests/jobs/statistics.
"""

from __future__ import annotations

import numpy as np

from jobs.statistics.units import Bools, Floats, Ints, unit_sizes, unit_sums

PRIOR = 1.0


def kish(sizes: Ints) -> float:
    """Sum m^2 / sum m: images of a unit as the mean image sees it."""
    m = np.asarray(sizes, dtype=np.float64)
    return float((m**2).sum() / m.sum()) if len(m) else 1.0


def degrees_of_freedom(sizes: Ints) -> float:
    """Of a variance over units: their effective number (sum m)^2 / sum m^2, less one. Infinite where all are single images."""
    m = np.asarray(sizes, dtype=np.float64)
    if not len(m) or m.max() == 1:
        return float("inf")
    return float(m.sum() ** 2 / (m**2).sum()) - 1


def design_effect(values: Floats, place: Ints, prior: float = PRIOR) -> float:
    """Variance of the mean of ``values`` [n] over units (``place`` [n]), over that of as many independent images; 1 at least.

    Units tell something of r where they have several images, not all of them with the value that most images have. Where none
    does, images of a unit count as wholly alike.
    """
    sizes = unit_sizes(place)
    alike = kish(sizes)
    if alike <= 1 or not len(values):
        return 1.0
    n, several = len(values), sizes > 1
    residuals = np.asarray(values, dtype=np.float64) - np.mean(values)
    variance = float((residuals**2).mean())
    telling = telling_units((values != _usual(values)) & several[place], place)
    if variance < 1e-15 or telling == 0:
        return alike
    sums, squares = unit_sums(residuals, place), unit_sums(residuals**2, place)
    pairs = ((sums**2 - squares)[several] / (sizes[several] - 1)).sum()
    r = min(1.0, max(0.0, float(pairs / (sizes[several].sum() * variance))))
    r = (telling * r + prior) / (telling + prior)
    over_units = len(sizes) / (len(sizes) - 1) * float((sums**2).sum()) / (n * variance) if len(sizes) > 1 else alike
    return max(1.0, 1 + r * (alike - 1), min(over_units, 2 * alike))


def telling_units(marked: Bools, place: Ints) -> int:
    """Units with an image that is marked."""
    return int((unit_sums(marked, place) > 0).sum())


def _usual(values: Floats) -> float:
    """The most frequent value."""
    found, counts = np.unique(values, return_counts=True)
    return float(found[counts.argmax()])
