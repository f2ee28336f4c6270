"""What doubling the labels does to the recall of each class: a slope over draws and test units. Pure.

The last two numbers of labels are compared, per doubling: a difference of shares on the same images, paired as that of two
learners is (jobs.statistics.label_curves), divided by the doublings between them. Holm's correction is over the classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jobs.statistics.corrections import holm
from jobs.statistics.differences import LEVEL
from jobs.statistics.label_curves import Drawn, Interval, difference
from jobs.statistics.shares import TOO_FEW
from jobs.statistics.units import Bools, Ints, numbered


@dataclass(frozen=True)
class ClassSlope:
    """``slope``: recall gained a doubling of the labels of every class, with its interval; ``p_adjusted`` for several classes.

    ``recall``: at the last number of labels, over ``images`` of the class. ``shown``: whether the slope is not 0.
    """

    label: int
    images: int
    recall: float
    slope: Interval
    p_adjusted: float

    @property
    def shown(self) -> bool:
        return self.p_adjusted < LEVEL


def class_slopes(before: Bools, after: Bools, labels: Ints, groups: Ints, doublings: float, overlap: float) -> list[ClassSlope]:
    """``before``, ``after`` [draws, n]: right with fewer and with more labels. Classes with fewer than ten images have none."""
    found = []
    for label in np.unique(labels):
        inside = labels == label
        if inside.sum() < TOO_FEW or len(np.unique(numbered(groups[inside]))) < 2:
            continue
        a, b, place = after[:, inside], before[:, inside], numbered(groups[inside])
        spread = Drawn.of(a.astype(np.float64) - b.astype(np.float64), place, overlap).at(overlap)
        whole = difference(a, b, place, spread)
        slope = Interval(whole.value / doublings, whole.low / doublings, whole.high / doublings, whole.p)
        found.append(ClassSlope(int(label), int(inside.sum()), float(a.mean()), slope, math.nan))
    adjusted = holm([float(each.slope.p or 0.0) for each in found])
    return [ClassSlope(each.label, each.images, each.recall, each.slope, p) for each, p in zip(found, adjusted, strict=True)]
