"""Two models on the same test images: difference in accuracy, interval and test, over units. Pure.

One seed speaks of two models: the test is exact, by flipping the signs of units (jobs.statistics.permutation; McNemar's where
units are single images), the interval a score interval (jobs.statistics.score) that agrees with it. Several seeds speak of two
methods: seeds and units are crossed random effects, so that both spread the interval, and p follows from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from jobs.statistics.clusters import degrees_of_freedom, design_effect, kish, telling_units
from jobs.statistics.corrections import holm, holm_levels
from jobs.statistics.over_seeds import mean_squares
from jobs.statistics.permutation import two_sided
from jobs.statistics.power import smallest_difference, smallest_over_seeds
from jobs.statistics.score import PairedScore, SeedSpread
from jobs.statistics.units import Bools, Floats, Groups, Ints, numbered, unit_sizes, unit_sums
from tlbatch import nouns

LEVEL = 0.05  #: two-sided error of a single test, or of a family of them
METHOD_SEEDS = 3
"""From so many seeds on, a comparison speaks of methods."""


@dataclass(frozen=True)
class Difference:
    """``value`` = accuracy of a minus accuracy of b, as a fraction (0.01 is one point), with its 95 % interval and test.

    ``only_a``/``only_b``: images that only one of the two got right, by seed; ``units_a``/``units_b``: units of which a, or b,
    gets more images right. ``groups``: how many units the images form. ``p_adjusted``: after Holm's correction in the family
    of tests, ``low_adjusted``/``high_adjusted``: the interval at 1 - ``level``, the level of its step there; it leaves out 0
    exactly where p_adjusted < 0.05, as low and high do where p < 0.05.
    ``first_level``: that of Holm's first step. ``independent``: so many images say as much if each stands alone.
    """

    value: float
    low: float
    high: float
    p: float
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    seeds: int
    images: int
    groups: int
    by_seed: tuple[float, ...]
    units_a: tuple[int, ...]
    units_b: tuple[int, ...]
    p_adjusted: float
    level: float
    low_adjusted: float
    high_adjusted: float
    score: PairedScore = field(repr=False)
    independent: float = field(repr=False)
    first_level: float = LEVEL

    @property
    def test(self) -> str:
        single = self.groups == self.images
        units = f"{self.images:,} {nouns.items()}" if single else f"{self.groups:,} groups of {nouns.items()}"
        if self.seeds > 1:
            return f"t test over {self.seeds} seeds and {units}"
        return "exact McNemar test" if single else f"exact permutation test over {units}"

    @cached_property
    def smallest(self) -> float:
        """The smallest true difference that would have been shown with 80 % power at Holm's first step, as a fraction."""
        score = self.score
        if score.spread is not None:
            return smallest_over_seeds(score, self.first_level)
        return smallest_difference(self.independent, score.up + score.down, self.first_level)

    @property
    def only_before_correction(self) -> bool:
        """Whether the plain interval leaves out zero and the correction for several comparisons takes that back."""
        return self.p < LEVEL <= self.p_adjusted

    def to_json(self) -> dict[str, Any]:
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("score", "first_level")}
        found = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return {**found, "smallest": self.smallest}


def paired_difference(right_a: Bools, right_b: Bools, groups: Groups) -> Difference:
    """``right_a``, ``right_b``: [seeds, images], whether each image was classified right; ``groups`` [images].

    Row s of both was trained with the same seed. Raises ValueError where the shapes differ.
    """
    if right_a.shape != right_b.shape or right_a.shape[1] != len(groups):
        raise ValueError(f"not the same {nouns.items()}: {right_a.shape}, {right_b.shape}, {len(groups)} groups")
    place = numbered(groups)
    difference = right_a.astype(np.float64) - right_b.astype(np.float64)
    sums = np.rint(unit_sums(difference, place)).astype(np.int64)
    score = score_of(difference, place)
    p = two_sided(sums[0]) if len(difference) == 1 else score.p()
    low, high = score.interval(LEVEL, p)
    return Difference(
        value=float(difference.mean()),
        low=low,
        high=high,
        p=p,
        only_a=_counts(difference > 0),
        only_b=_counts(difference < 0),
        seeds=len(difference),
        images=len(place),
        groups=sums.shape[1],
        by_seed=tuple(float(value) for value in difference.mean(axis=1)),
        units_a=_counts(sums > 0),
        units_b=_counts(sums < 0),
        p_adjusted=p,
        level=LEVEL,
        low_adjusted=low,
        high_adjusted=high,
        score=score,
        independent=_independent(difference[0], place),
    )


def score_of(difference: Floats, place: Ints) -> PairedScore:
    """The score function of ``difference`` [seeds, n] (1, 0 or -1 an image) over units ``place`` [n].

    Several seeds average out what is chance in each: the variance over images is that of their mean over seeds, weighed as
    one unit on which all seeds agree beside those that tell something.
    """
    seeds, n = difference.shape
    up, down = float((difference > 0).mean()), float((difference < 0).mean())
    mean, sizes = difference.mean(axis=0), unit_sizes(place)
    scale, spread = design_effect(mean, place) / n, None
    if seeds > 1:
        one_seed, told = up + down - (up - down) ** 2, telling_units((difference != 0).any(axis=0), place)
        share = float(mean.var()) / one_seed if one_seed > 1e-15 else 1.0
        scale *= (told * share + 1) / (told + 1)
        squares = mean_squares(linearised(difference, place))
        values = seeds * len(sizes)
        spread = SeedSpread(seeds, squares.seeds / values, squares.rest / values)
    return PairedScore(up, down, scale, degrees_of_freedom(sizes), spread)


def _independent(difference: Floats, place: Ints) -> float:
    """How many independent images the test sees in ``difference`` [n] over units: with the likeliest design effect."""
    return len(place) / min(design_effect(difference, place, prior=0.0), kish(unit_sizes(place)))


def linearised(values: Floats, place: Ints) -> Floats:
    """[seeds, units]: the mean of ``values`` [seeds, n] over images, plus the residuals of each unit (of a ratio estimator)."""
    sizes, mean = unit_sizes(place), values.mean()
    return np.asarray(mean + (unit_sums(values, place) - mean * sizes) * len(sizes) / len(place))


def _counts(there: Bools) -> tuple[int, ...]:
    """How many of each row."""
    return tuple(int(n) for n in there.sum(axis=1))


def as_family(differences: Sequence[Difference]) -> list[Difference]:
    """The same differences, Holm-adjusted as one family of tests."""
    p_values = [difference.p for difference in differences]
    adjusted, levels = holm(p_values), holm_levels(p_values, LEVEL)
    return [_in_family(*one, len(p_values)) for one in zip(differences, adjusted, levels, strict=True)]


def _in_family(difference: Difference, p_adjusted: float, level: float, family: int) -> Difference:
    score, shown = difference.score, p_adjusted < LEVEL
    p = min(difference.p, level * (1 - 1e-9)) if shown else max(difference.p, level)  # equal in the last digit only
    low, high = score.interval(level, p)
    first = LEVEL / family
    return replace(difference, p_adjusted=p_adjusted, level=level, low_adjusted=low, high_adjusted=high, first_level=first)
