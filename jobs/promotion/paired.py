"""Two models on the same test images: the difference of a metric with its test, and each class's own. Pure.

Copies of a picture and images of a group are one unit, which is flipped as one (jobs.statistics.permutation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.metrics.registry import metrics
from jobs.statistics.bootstrap import bootstrap, percentile_interval, ratio_test, resampled_error, resamples_for
from jobs.statistics.corrections import benjamini_hochberg
from jobs.statistics.differences import paired_difference
from jobs.statistics.permutation import one_sided
from jobs.statistics.predictions import Predictions
from jobs.statistics.units import differences, ratio_p, standard_error


@dataclass(frozen=True)
class Estimate:
    """``difference`` = the challenger's value of a metric minus the champion's, with its 95 % interval.

    ``gain`` is the difference, turned so that more is better; ``p`` how likely so much of it is between equals (one-sided),
    ``p_worse`` how likely so little. ``error``: standard error of the difference, ``spread``: of the challenger's own value,
    both over ``units``. ``gained``, ``lost``: units of which only the challenger, or only the champion, gets (more of) the
    images right.
    """

    metric: str
    challenger: float
    champion: float
    low: float
    high: float
    p: float
    gained: int
    lost: int
    p_worse: float = 1.0
    error: float = 0.0
    spread: float = 0.0
    units: int = 2

    @property
    def difference(self) -> float:
        return self.challenger - self.champion

    @property
    def gain(self) -> float:
        return self.turned(self.difference)

    def turned(self, value: float) -> float:
        """A value of the metric, or a difference, so that more is better."""
        return value if metrics()[self.metric].higher_is_better else -value

    @property
    def noise(self) -> float:
        """Standard deviation of one model's value among equals on these images: chance alone, not which images they are."""
        return float(self.error / np.sqrt(2))

    def p_beyond(self, luck: float) -> float:
        """How likely so much gain is where the champion is ``luck`` worse than it looks here: ``p`` where it is not."""
        return self.p if luck <= 0 else ratio_p(self.gain + luck, self.error, self.units)


def compare(metric: str, challenger: Predictions, champion: Predictions, *, interval: bool = True) -> Estimate:
    """Of predictions of the same images in the same order. Without ``interval`` low and high are NaN: they decide nothing.

    Accuracy: the score interval of jobs.statistics.differences and the exact test of signs over units. Other metrics:
    stratified bootstrap of the paired difference, and its ratio to the standard error there against Student's t.
    """
    function = metrics()[metric].function
    a, b = (float(function(each.ones())[0]) for each in (challenger, champion))
    moved = differences(challenger.right, champion.right, challenger.groups)
    gained, lost, units = int((moved > 0).sum()), int((moved < 0).sum()), len(moved)
    if metric == "accuracy":
        low, high = _interval(challenger, champion) if interval else (np.nan, np.nan)
        error, spread = (
            standard_error(values, challenger.groups) for values in (challenger.right * 1.0 - champion.right, challenger.right)
        )
        p, worse = one_sided(moved), one_sided(-moved)
        return Estimate(metric, a, b, low, high, p, gained, lost, worse, error, spread, units)
    drawn = bootstrap({"a": challenger, "b": champion}, {metric: function}, resamples_for(challenger))
    apart = drawn["a"][metric] - drawn["b"][metric]
    low, high = percentile_interval(apart) or (np.nan, np.nan)
    gain = a - b if metrics()[metric].higher_is_better else b - a
    p, worse = (ratio_test(each, apart, units) for each in (gain, -gain))
    error, spread = (resampled_error(values) for values in (apart, drawn["a"][metric]))
    return Estimate(metric, a, b, low, high, p, gained, lost, worse, error, spread, units)


def _interval(challenger: Predictions, champion: Predictions) -> tuple[float, float]:
    found = paired_difference(challenger.right[None], champion.right[None], challenger.groups)
    return found.low, found.high


@dataclass(frozen=True)
class ClassTest:
    """A class's ``n`` test images: recalls, units gained and lost, one-sided p-value of a loss, and that among all classes."""

    name: str
    n: int
    challenger: float
    champion: float
    gained: int
    lost: int
    p: float
    p_adjusted: float = 1.0

    @property
    def loss(self) -> float:
        """Of recall; negative where it grew."""
        return self.champion - self.challenger


def class_tests(challenger: Predictions, champion: Predictions, classes: Sequence[str]) -> list[ClassTest]:
    """For each class the exact sign-flip test over units, one-sided: how likely so much is lost between equals.

    ``p_adjusted``: over the classes (Benjamini and Hochberg 1995), for readers of many; the rule takes ``p``.
    """
    rows = []
    for number, name in enumerate(classes):
        inside = challenger.labels == number
        a, b = challenger.right[inside], champion.right[inside]
        moved = differences(a, b, challenger.groups[inside]) if inside.any() else np.zeros(0, dtype=np.int64)
        gained, lost = int((moved > 0).sum()), int((moved < 0).sum())
        recalls = (float(a.mean()), float(b.mean())) if inside.any() else (0.0, 0.0)
        rows.append(ClassTest(name, int(inside.sum()), *recalls, gained, lost, one_sided(-moved)))
    adjusted = benjamini_hochberg([row.p for row in rows])
    return [ClassTest(**{**row.__dict__, "p_adjusted": p}) for row, p in zip(rows, adjusted, strict=True)]
