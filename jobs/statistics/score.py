"""The score interval of a paired difference of two shares: Tango's (1998), also for units and over seeds. Pure.

All differences delta with |D - delta| <= reach(delta), the critical value times the standard error under delta:
se^2 = scale (2 q + delta (1 - delta)), q the likeliest share of images that only b gets right if the difference is delta.
``scale`` is 1 / n for n independent images, and larger for images that come in units. So the interval has a width where no
image is discordant, and never leaves -1 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

STEPS = 40  #: halvings of [-1, 1]: bounds are exact within 1e-12
MOST = 2.0  #: times that the bound nearest to zero is moved out at most before it is put at zero
JUST = 1e-12  #: the bound nearest to zero of an interval that leaves it out


@dataclass(frozen=True)
class SeedSpread:
    """What ``seeds`` seeds add to the variance of a mean over them (mean squares of ``over_seeds`` over all values).

    ``between``: mean square of seeds; ``rest``: of what neither seeds nor units explain; both over seeds times units.
    """

    seeds: int
    between: float
    rest: float


@dataclass(frozen=True)
class PairedScore:
    """``up``, ``down``: shares of images that only a, only b got right, means over seeds.

    ``df``: degrees of freedom of the spread over units; infinite (the normal distribution) where units are single images.
    """

    up: float
    down: float
    scale: float
    df: float = math.inf
    spread: SeedSpread | None = None

    @property
    def value(self) -> float:
        return self.up - self.down

    def variance(self, delta: float) -> float:
        """Of the difference over other images, were it ``delta``: Tango's equations (1998) with shares in place of counts."""
        b = (2 - self.value) * delta - self.up - self.down
        c = -self.down * delta * (1 - delta)
        q = (math.sqrt(max(b * b - 8 * c, 0.0)) - b) / 4
        return self.scale * max(2 * q + delta * (1 - delta), 0.0)

    def reach(self, delta: float, level: float) -> float:
        """How far from ``delta`` an observed difference may lie, at 1 - ``level``.

        With several seeds the larger of two: Student's t with the degrees of freedom of Hillis (2007), which is too narrow
        where few seeds happen to agree; and the sum of squares of what units and what seeds allow on their own, each with
        its own t (as Howe 1974), half of the chance agreement of the seeds taken off.
        """
        images, spread = self.variance(delta), self.spread
        units = quantile(self.df, level)
        if spread is None:
            return _product(units, math.sqrt(images))
        total = images + max(spread.between - spread.rest, 0.0)
        floor = max(spread.between, spread.rest)
        df = max((spread.seeds - 1) * (total / floor) ** 2, spread.seeds - 1.0) if floor > 0 else math.inf
        joint = _product(max(quantile(df, level), units), math.sqrt(total))
        alone = quantile(spread.seeds - 1.0, level) ** 2 * max(spread.between - spread.rest / 2, 0.0)
        return max(joint, math.sqrt(_product(units, math.sqrt(images)) ** 2 + alone))

    def p(self) -> float:
        """The level at which the interval begins to leave out zero; 1 where nothing differs."""
        gap = abs(self.value)
        if gap < 1e-15:
            return 1.0
        low, high = -700.0, 0.0  # natural logarithms of levels
        for _ in range(2 * STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if gap > self.reach(0.0, math.exp(middle)) else (middle, high)
        return math.exp(high)

    def interval(self, level: float, p: float) -> tuple[float, float]:
        """The interval at 1 - ``level``, in agreement with a test whose p-value is ``p``: it leaves out 0 where p < level.

        Where the test shows a difference and the score does not, the interval ends just before 0 (an exact test's word on the
        side is good; how far from 0 it is, it does not say). Where only the score shows one, the bound nearest to 0 is as far
        off as 0 is, times z(level) / z(p), two-sided normal quantiles: where score and test agree.
        """
        shown = p < level
        low, high = self._bound(level, 1.0, -1.0), self._bound(level, 1.0, 1.0)
        if not shown and (low > 0 or high < 0):
            near = self._bound(level, self._agreed(level, p), -1.0 if low > 0 else 1.0)
            low, high = (near, high) if low > 0 else (low, near)
        if not shown:
            return min(low, 0.0), max(high, 0.0)
        return (max(low, JUST), high) if self.value > 0 else (low, min(high, -JUST))

    def _agreed(self, level: float, p: float) -> float:
        """What to multiply ``reach`` by, so that 0 is as far out as the test has it."""
        z_level, z_p = -special.ndtri(level / 2), -special.ndtri(p / 2)
        return float(abs(self.value) / self.reach(0.0, level) * min(z_level / z_p if z_p > 0 else math.inf, MOST))

    def _bound(self, level: float, times: float, end: float) -> float:
        """The last difference between the value and ``end`` (-1 or 1) that is within ``times`` the reach."""

        def within(delta: float) -> bool:
            return abs(self.value - delta) <= _product(times, self.reach(delta, level)) + 1e-15

        inside, outside = self.value, end
        if within(end):
            return end
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if within(middle) else (inside, middle)
        return inside


def quantile(df: float, level: float) -> float:
    """Two-sided, of Student's t or the normal distribution; infinite without degrees of freedom."""
    if math.isinf(df):
        return -float(special.ndtri(level / 2))
    return -float(special.stdtrit(df, level / 2)) if df > 0.01 else math.inf


def _product(times: float, error: float) -> float:
    """Infinity times no error is no reach at all only where the multiple is finite."""
    return times * error if error > 0 or math.isfinite(times) else math.inf
