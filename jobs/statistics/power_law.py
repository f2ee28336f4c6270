"""The learning curve as an inverse power law, and what it says of more labels. Pure.

acc(n) = a - b n^-c (Cortes et al. 1993; Mukherjee et al. 2003), a at most 1, by weighted least squares: for each c of a grid a
and b are linear. It is a law of the tail: few labels count less, and the fewest are left out where there are five numbers or
more. Prediction intervals join what test units and draws leave open (bootstraps, that of draws widened to Student's t) with
what the law itself does: how far its prediction moves when more of the fewest labels are left out, and by how much it missed
the last point when that was predicted from those before. Coverage is shown in tests/jobs/statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.statistics.label_curves import odds
from jobs.statistics.score import quantile
from jobs.statistics.units import Bools, Floats, Groups, numbered, unit_sizes, unit_sums

EXPONENTS = np.geomspace(0.1, 3.0, 35)
ENOUGH_POINTS = 5  #: to leave out the first
LEAST_POINTS = 4  #: three would be met by the law whatever they are
RESAMPLES = 500
DISCREPANCY = 0.1  #: of one label a class from the law, that of n labels / n
FLOOR = 0.0025  #: of an image's variance: no point counts beyond all others because its few draws happen to agree
LEVEL = 0.05


@dataclass(frozen=True)
class PowerLaw:
    """acc(n) = ``a`` - ``b`` n^-``c``, as fractions."""

    a: float
    b: float
    c: float

    def at(self, labels: float) -> float:
        return min(1.0, max(0.0, self.a - self.b * math.pow(labels, -self.c)))


@dataclass(frozen=True)
class Prediction:
    """``value`` with its 95 % prediction interval at so many ``labels`` a class, as fractions."""

    labels: int
    value: float
    low: float
    high: float


def fit_laws(labels: Floats, values: Floats, errors: Floats) -> Floats:
    """[m, 3] a, b, c of each row of ``values`` [m, k] at ``labels`` [k], points weighed by 1 / ``errors`` [k] squared."""
    w, x = 1 / errors**2, -(labels[None] ** -EXPONENTS[:, None])  # [k], [c, k]
    mean_x, mean_y = x @ w / w.sum(), values @ w / w.sum()
    centred = x - mean_x[:, None]
    y, squares = values - mean_y[:, None], (centred**2) @ w
    b = (y * w) @ centred.T / squares
    a = mean_y[:, None] - b * mean_x
    loss = ((y**2) @ w)[:, None] - b**2 * squares
    below, squares = values - 1, (x**2) @ w  # where a would be more than 1, it is 1
    capped = (below * w) @ x.T / squares
    beyond = a > 1
    loss = np.where(beyond, ((below**2) @ w)[:, None] - capped**2 * squares, loss)
    a, b = np.where(beyond, 1.0, a), np.where(beyond, capped, b)
    best, rows = loss.argmin(axis=1), np.arange(len(values))
    return np.stack([a[rows, best], b[rows, best], EXPONENTS[best]], axis=1)


def at(laws: Floats, labels: float) -> Floats:
    """[m] accuracies that laws [m, 3] give."""
    return np.asarray(np.clip(laws[:, 0] - laws[:, 1] * labels ** -laws[:, 2], 0.0, 1.0))


@dataclass(frozen=True)
class Extrapolation:
    """A law, and what else it may be: laws [m, 3] of other test units, of other draws, and without the smallest numbers of
    labels. ``times``: what Student's t of the draws makes of a normal reach; ``missed``: how far off the last point was when
    those before predicted it; ``fitted``: the numbers of labels that the law follows from."""

    law: PowerLaw
    other_units: Floats
    other_draws: Floats
    shorter: Floats
    times: float
    missed: float
    fitted: tuple[int, ...]

    def predict(self, labels: int) -> Prediction:
        """The mean accuracy at so many labels a class, over draws and test images."""
        low, high = self._interval(lambda laws: at(laws, labels), value := self.law.at(labels))
        return Prediction(labels, value, max(0.0, low), min(1.0, high))

    def gain(self, labels: int, over: int) -> Prediction:
        """From ``over`` to ``labels`` a class."""
        value = self.law.at(labels) - self.law.at(over)
        return Prediction(labels, value, *self._interval(lambda laws: at(laws, labels) - at(laws, over), value))

    def _interval(self, of: Callable[[Floats], Floats], value: float) -> tuple[float, float]:
        """Each side the root of the sum of squares of what units, draws and the law leave open on it (MOVER)."""
        reaches = []
        for laws, times in ((self.other_units, 1.0), (self.other_draws, self.times)):
            low, high = np.quantile(of(laws), [LEVEL / 2, 1 - LEVEL / 2])
            reaches.append((times * (value - low), times * (high - value)))
        moved = float(np.abs(of(self.shorter) - value).max()) if len(self.shorter) else 0.0
        below, above = (math.hypot(moved, self.missed, *(max(each[side], 0.0) for each in reaches)) for side in (0, 1))
        return value - below, value + above


def extrapolate(
    labels: Sequence[int], right: Bools, groups: Groups, overlap: Sequence[float], seed: int = 0
) -> Extrapolation | None:
    """``right`` [k, draws, n]: whether each test image was classified right, with ``labels`` [k] a class; None of too few.

    ``overlap`` [k]: share of the training images that is in each draw (jobs.statistics.label_curves).
    """
    if len(labels) < LEAST_POINTS:
        return None
    first = 1 if len(labels) >= ENOUGH_POINTS else 0
    labels, right, overlap = labels[first:], right[first:], overlap[first:]
    points, place = np.asarray(labels, dtype=np.float64), numbered(groups)
    k, draws, n = right.shape
    sizes, sums = unit_sizes(place).astype(np.float64), unit_sums(right, place)
    by_draw = right.mean(axis=2)
    whole = by_draw.mean(axis=1)
    errors = np.sqrt(np.var(by_draw, axis=1, ddof=1) / draws + FLOOR / n + (DISCREPANCY / points) ** 2)
    chance = np.random.default_rng(seed)
    units = chance.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=RESAMPLES).astype(np.float64)
    drawn = chance.multinomial(draws, np.full(draws, 1 / draws), size=RESAMPLES) / draws
    wider = np.sqrt([(1 + draws * odds(share)) * draws / (draws - 1) for share in overlap])
    other_units = (units @ sums.mean(axis=1).T) / (units @ sizes)[:, None]
    other_draws = whole + wider * (drawn @ (by_draw - whole[:, None]).T)
    shorter = [fit_laws(points[start:], whole[None, start:], errors[start:]) for start in range(1, k - LEAST_POINTS + 1)]
    before = fit_laws(points[:-1], whole[None, :-1], errors[:-1])
    return Extrapolation(
        law=PowerLaw(*fit_laws(points, whole[None], errors)[0].tolist()),
        other_units=fit_laws(points, other_units, errors),
        other_draws=fit_laws(points, other_draws, errors),
        shorter=np.concatenate(shorter) if shorter else np.zeros((0, 3)),
        times=quantile(draws - 1, LEVEL) / quantile(math.inf, LEVEL),
        missed=abs(float(at(before, points[-1])[0] - whole[-1])),
        fitted=tuple(labels),
    )
