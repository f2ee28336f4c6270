"""How a curve grows: the exponent of x, with what is constant taken off. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

TOLD = 0.2  # of the last value: less than that above the first point is all constant, or noise


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """The slope on log-log of what lies above the first point, between the two last ones; 1 where a curve is a line.

    Of y = c + a x it is 1 whatever c is, of y = c + a x^2 about 2. None of fewer than three points, and where the last lies
    above the first by less than a fifth of itself, or the one before it not above the first at all.
    """
    if len(xs) < 3:
        return None
    before, last = ys[-2] - ys[0], ys[-1] - ys[0]
    if before <= 0 or last < TOLD * ys[-1]:
        return None
    return math.log(last / before) / math.log((xs[-1] - xs[0]) / (xs[-2] - xs[0]))
