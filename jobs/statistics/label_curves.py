"""Accuracy at so many labels a class: the mean over draws of labels, and the paired difference of two learners. Pure.

Draws and test units are crossed random effects, as seeds and units are elsewhere. But draws are made from the same training
images: two that each take the share f of them have much in common, and what they vary tells too little of what other training
images would give. With s^2 the variance over K draws, that of their mean is s^2 (1 / K + f / (1 - f)), not s^2 / K (Nadeau and
Bengio 2003, who say it of the test images of resampled divisions). Coverage is shown in tests/jobs/statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from jobs.statistics.differences import LEVEL, linearised, score_of
from jobs.statistics.over_seeds import mean_squares, widened_by
from jobs.statistics.score import SeedSpread, quantile
from jobs.statistics.shares import share_interval
from jobs.statistics.units import Bools, Floats, Groups, numbered

MOST_OVERLAP = 0.9
"""Draws that take more have hardly anything to vary by: the spread of those with the next fewer labels stands for theirs."""


def odds(overlap: float) -> float:
    """f / (1 - f), f at most MOST_OVERLAP."""
    share = min(overlap, MOST_OVERLAP)
    return share / (1 - share)


@dataclass(frozen=True)
class Drawn:
    """What draws vary: mean squares of draws and of the rest over all values, and the ``overlap`` they were drawn with."""

    spread: SeedSpread
    overlap: float

    @staticmethod
    def of(values: Floats, groups: Groups, overlap: float) -> Drawn:
        """``values`` [draws, n] an image."""
        table = linearised(values, numbered(groups))
        squares, size = mean_squares(table), table.size
        return Drawn(SeedSpread(len(values), squares.seeds / size, squares.rest / size), overlap)

    def at(self, overlap: float) -> SeedSpread:
        """What it means for the mean over draws with this overlap, were all training images others, too."""
        draws = self.spread.seeds
        own, asked = min(self.overlap, MOST_OVERLAP), min(overlap, 1.0)
        times = (asked * draws + 1 - asked) / (1 - own)
        return replace(self.spread, between=self.spread.between * times, rest=self.spread.rest * times)


@dataclass(frozen=True)
class Interval:
    """``value`` in [``low``, ``high``] (95 %), as fractions; ``p`` of no difference, where it is one."""

    value: float
    low: float
    high: float
    p: float | None = None


def spreads(right: Floats, groups: Groups, overlap: Sequence[float]) -> list[SeedSpread]:
    """For each number of labels what its draws vary; ``right`` [k, draws, n], ``overlap`` [k] rising with the labels."""
    found, last = [], None
    for values, share in zip(right, overlap, strict=True):
        if share <= MOST_OVERLAP or last is None:
            last = Drawn.of(values, groups, share)
        found.append(last.at(share))
    return found


def mean_accuracy(right: Bools, groups: Groups, spread: SeedSpread) -> Interval:
    """``right`` [draws, n]: Wilson's interval over units, widened by what other draws would give."""
    mean = right.mean(axis=0)
    low, high, _ = share_interval(mean, groups)
    value = float(mean.mean())
    images = ((high - low) / (2 * quantile(float("inf"), LEVEL))) ** 2
    low, high = widened_by(value, low, high, spread.seeds, spread.between, spread.rest, images)
    return Interval(value, max(0.0, low), min(1.0, high))


def difference(right_a: Bools, right_b: Bools, groups: Groups, spread: SeedSpread) -> Interval:
    """Of a - b on the same draws and test images, [draws, n] each; ``spread`` is that of the differences."""
    values = right_a.astype(np.float64) - right_b.astype(np.float64)
    score = replace(score_of(values, numbered(groups)), spread=spread)
    p = score.p()
    return Interval(score.value, *score.interval(LEVEL, p), p)
