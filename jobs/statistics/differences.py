"""Two models on the same test images: the interval of their paired difference, its test, Holm's correction. Pure.

One seed speaks of two models: a bootstrap over groups of images (copies and bursts stay together) gives the interval, exact
McNemar the p-value. Several seeds speak of two methods: seeds and images are crossed random effects, so that both spread
the interval (Dorfman, Berbaum & Metz 1992, with the degrees of freedom of Hillis 2007: seeds take the place of readers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jobs.statistics.crossed import crossed
from jobs.statistics.permutation import mcnemar
from jobs.statistics.power import smallest_difference
from jobs.statistics.units import Bools, Floats, Ints, numbered, unit_sizes, unit_sums

LEVEL = 0.05  #: two-sided error of a single test, before Holm's correction
DRAWS = 4000
METHOD_SEEDS = 3
"""From so many seeds on, a comparison speaks of methods."""


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
    place = numbered(groups)
    sums, sizes = unit_sums(difference, place), unit_sizes(place)
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


def bootstrap_mean(sums: Floats, sizes: Ints, draws: int = DRAWS) -> tuple[float, float]:
    """95 % percentile interval of Σ sums / Σ sizes when groups are drawn with replacement. Seeded.

    Groups with equal sum and size are alike, so that counts of each kind are drawn instead of groups: the same law, faster.
    """
    kinds, counts = np.unique(np.stack([sums, sizes.astype(np.float64)]), axis=1, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(len(sums), counts / len(sums), size=draws)
    means = (drawn @ kinds[0]) / (drawn @ kinds[1])
    low, high = np.quantile(means, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)
