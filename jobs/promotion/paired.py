"""Two models on the same test images: the difference of a metric with its test, and each class's own. Pure.

Copies of a picture and images of a group are one unit, which counts as one: it speaks for the model that gets more of its
images right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.metrics.predictions import Predictions
from jobs.metrics.registry import metrics
from jobs.statistics.bootstrap import bootstrap, percentile_interval, ratio_test, resamples_for
from jobs.statistics.corrections import benjamini_hochberg
from jobs.statistics.differences import paired_difference
from jobs.statistics.permutation import chance
from jobs.statistics.units import sides


@dataclass(frozen=True)
class Estimate:
    """``difference`` = the challenger's value of a metric minus the champion's, with its 95 % interval.

    ``gain`` is the difference, turned so that more is better; ``p`` how likely so much of it is between equals (one-sided).
    ``gained``, ``lost``: units of which only the challenger, or only the champion, gets (more of) the images right.
    """

    metric: str
    challenger: float
    champion: float
    low: float
    high: float
    p: float
    gained: int
    lost: int

    @property
    def difference(self) -> float:
        return self.challenger - self.champion

    @property
    def gain(self) -> float:
        return self.difference if metrics()[self.metric].higher_is_better else -self.difference


def compare(metric: str, challenger: Predictions, champion: Predictions) -> Estimate:
    """Of predictions of the same images in the same order.

    Accuracy: score interval over units, exact McNemar over units. Other metrics: stratified bootstrap of the
    paired difference, and its ratio to the standard error there against Student's t (tails as thin as the k-th test asks
    for cannot be counted in resamples).
    """
    function = metrics()[metric].function
    a, b = (float(function(each.ones())[0]) for each in (challenger, champion))
    gained, lost = sides(challenger.right, champion.right, challenger.groups)
    if metric == "accuracy":
        found = paired_difference(challenger.right[None], champion.right[None], challenger.groups)
        return Estimate(metric, a, b, found.low, found.high, chance(gained, lost), gained, lost)
    drawn = bootstrap({"a": challenger, "b": champion}, {metric: function}, resamples_for(challenger))
    differences = drawn["a"][metric] - drawn["b"][metric]
    low, high = percentile_interval(differences) or (np.nan, np.nan)
    gain = a - b if metrics()[metric].higher_is_better else b - a
    p = ratio_test(gain, differences, len(np.unique(challenger.groups)))
    return Estimate(metric, a, b, low, high, p, gained, lost)


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
    """For each class exact McNemar, one-sided: how likely so many units are lost, if either model were as likely to win each.

    P(X >= lost), X binomial of gained + lost at 1/2; adjusted over the classes (Benjamini and Hochberg 1995).
    """
    rows = []
    for number, name in enumerate(classes):
        inside = challenger.labels == number
        a, b = challenger.right[inside], champion.right[inside]
        gained, lost = sides(a, b, challenger.groups[inside]) if inside.any() else (0, 0)
        recalls = (float(a.mean()), float(b.mean())) if inside.any() else (0.0, 0.0)
        rows.append(ClassTest(name, int(inside.sum()), *recalls, gained, lost, chance(lost, gained)))
    adjusted = benjamini_hochberg([row.p for row in rows])
    return [ClassTest(**{**row.__dict__, "p_adjusted": p}) for row, p in zip(rows, adjusted, strict=True)]
