"""Two models on the same test images: the interval of their paired difference, its test, Holm's correction. Pure.

One seed speaks of two models: a bootstrap over groups of images (copies and bursts stay together) gives the interval, exact
McNemar the p-value. Several seeds speak of two methods: seeds and images are crossed random effects, so that both spread
the interval (Dorfman, Berbaum & Metz 1992, with the degrees of freedom of Hillis 2007: seeds take the place of readers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVEL = 0.05  #: two-sided error of a single test, before Holm's correction
POWER = 0.8
DRAWS = 4000
METHOD_SEEDS = 3
"""From so many seeds on, a comparison speaks of methods."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """``value`` = score of a minus score of b, with the bounds of its 95 % interval, as fractions (0.01 is one point).

    ``only_a``/``only_b``: images that only one of the two got right, by seed. ``smallest``: the smallest true difference
    that this many images (and seeds) would have shown with 80 % power.
    """

    value: float
    low: float
    high: float
    p: float
    smallest: float
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    seeds: int
    images: int
    groups: int
    by_seed: tuple[float, ...] = field(default=())

    @property
    def test(self) -> str:
        images = f"{self.images:,} images" if self.groups == self.images else f"{self.groups:,} groups of images"
        return "exact McNemar test" if self.seeds == 1 else f"t test over {self.seeds} seeds and {images}"


def paired_difference(right_a: Bools, right_b: Bools, groups: Sequence[str], *, draws: int = DRAWS) -> Difference:
    """``right_a``, ``right_b``: [seeds, images], whether each image was classified right; ``groups`` [images].

    Row s of both was trained with the same seed. Raises ValueError where the shapes differ.
    """
    if right_a.shape != right_b.shape or right_a.shape[1] != len(groups):
        raise ValueError(f"not the same images: {right_a.shape}, {right_b.shape}, {len(groups)} groups")
    difference = right_a.astype(np.float64) - right_b.astype(np.float64)
    sums, sizes = group_sums(difference, groups)
    only_a, only_b = (right_a & ~right_b).sum(axis=1), (right_b & ~right_a).sum(axis=1)
    if len(difference) == 1:
        low, high = bootstrap_mean(sums[0], sizes, draws)
        p = mcnemar(int(only_a[0]), int(only_b[0]))
        smallest = smallest_difference(len(sizes), float(only_a[0] + only_b[0]) / len(groups))
    else:
        spread = crossed(sums * len(sizes) / len(groups))
        low, high, p, smallest = spread.low, spread.high, spread.p, spread.smallest
    return Difference(
        value=float(difference.mean()),
        low=low,
        high=high,
        p=p,
        smallest=smallest,
        only_a=tuple(int(n) for n in only_a),
        only_b=tuple(int(n) for n in only_b),
        seeds=len(difference),
        images=len(groups),
        groups=len(sizes),
        by_seed=tuple(float(value) for value in difference.mean(axis=1)),
    )


def group_sums(values: Floats, groups: Sequence[str]) -> tuple[Floats, Ints]:
    """Sums of ``values`` [s, n] within each group -> [s, groups], and the groups' sizes."""
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(place)
    return np.stack([np.bincount(place, weights=row, minlength=len(sizes)) for row in values]), sizes


def bootstrap_mean(sums: Floats, sizes: Ints, draws: int = DRAWS) -> tuple[float, float]:
    """95 % percentile interval of Σ sums / Σ sizes when groups are drawn with replacement. Seeded.

    Groups with equal sum and size are alike, so that counts of each kind are drawn instead of groups: the same law, faster.
    """
    kinds, counts = np.unique(np.stack([sums, sizes.astype(np.float64)]), axis=1, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(len(sums), counts / len(sums), size=draws)
    means = (drawn @ kinds[0]) / (drawn @ kinds[1])
    low, high = np.quantile(means, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided p-value: of the images that just one model gets right, either is as likely to be it."""
    discordant = only_a + only_b
    return min(1.0, 2 * float(special.bdtr(min(only_a, only_b), discordant, 0.5))) if discordant else 1.0


def smallest_difference(images: int, discordance: float, power: float = POWER) -> float:
    """The smallest difference of two proportions that McNemar's test shows with this power (Connor 1987), as a fraction.

    ``discordance``: the share of images on which the two models differ. A difference larger than that share needs the
    share to be at least as large.
    """
    z_level, z_power = float(special.ndtri(1 - LEVEL / 2)), float(special.ndtri(power))

    def lack(delta: float) -> float:
        share = max(discordance, delta)
        return z_level * math.sqrt(share) + z_power * math.sqrt(max(share - delta**2, 0.0)) - delta * math.sqrt(images)

    low, high = 0.0, 1.0
    while high - low > 1e-9:  # lack falls as delta grows; with too few images it never gets below 0, and 1 is the answer
        middle = (low + high) / 2
        low, high = (middle, high) if lack(middle) > 0 else (low, middle)
    return high


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
    """The mean of ``values`` [seeds, images] as an estimate over all seeds and all images that might have been drawn."""
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


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the same order (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    adjusted, running = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = running
    return adjusted
