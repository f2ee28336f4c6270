"""Up to how many labels one learner is better than another: where their difference, which falls, changes its sign. Pure.

Within what was measured, by tests in a fixed order (Maurer, Hothorn and Lehmacher 1995): the difference is better than none at
every number of labels from the fewest up to ``low``, and worse at every one from ``high`` to the most. If it changes sign once,
the crossing is between both, except with the error of the first false test on each side; nothing is assumed of the curves'
form, and no more is said than which measured numbers enclose it.

Beyond the last number of labels, by the inverse power laws of both learners (jobs.statistics.power_law): the crossing may be
wherever the interval of the laws' difference holds 0, its sides the root of the sum of squares of theirs. Coverage of both is
shown in tests/jobs/statistics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from jobs.statistics.power_law import Extrapolation

HORIZON = 4.0
"""So many times the last number of labels: beyond, laws fitted to few numbers promise too much."""
STEPS = 41


@dataclass(frozen=True)
class Crossing:
    """``low``: the last number of labels up to which it is shown to be better; None: at none. ``high``: the first from which it
    is shown to be worse; None: at none. ``value``: where the measured differences change sign, on a logarithmic scale; None
    where they do not, or do so more than once."""

    low: int | None
    high: int | None
    value: float | None


@dataclass(frozen=True)
class Beyond:
    """By the laws, between the last number of labels and ``horizon``: the crossing is in [``low``, ``high``] (95 %).

    ``value``: where the laws cross, None: not up to there. ``low`` None: not shown to be near; ``high`` None: or later.
    """

    value: int | None
    low: int | None
    high: int | None
    horizon: int


def crossing_within(labels: Sequence[int], differences: Sequence[float], verdicts: Sequence[int]) -> Crossing:
    """``differences`` [k] of accuracy at ``labels`` [k], rising; ``verdicts`` [k]: 1 shown better, -1 shown worse, 0 open."""
    better = next((k for k, each in enumerate(verdicts) if each <= 0), len(verdicts))
    worse = next((k for k, each in enumerate(reversed(verdicts)) if each >= 0), len(verdicts))
    value = None
    changes = [k for k, (one, other) in enumerate(pairwise(differences)) if (one > 0) != (other > 0)]
    if len(changes) == 1 and differences[k := changes[0]] > 0:
        share = differences[k] / (differences[k] - differences[k + 1])
        value = labels[k] * (labels[k + 1] / labels[k]) ** share
    return Crossing(
        low=labels[better - 1] if better else None, high=labels[len(labels) - worse] if worse else None, value=value
    )


def crossing_beyond(ours: Extrapolation, theirs: Extrapolation, last: int) -> Beyond:
    """From ``last`` to HORIZON times it; where 0 is not within the interval of the laws' difference it cannot be."""
    grid = sorted({round(float(x)) for x in np.geomspace(last, HORIZON * last, STEPS)})
    points = [_difference(ours, theirs, labels) for labels in grid]
    value = next((x for x, each in zip(grid, points, strict=True) if each[0] <= 0), None)
    possible = [x for x, (_, low, high) in zip(grid, points, strict=True) if low <= 0 <= high]
    ends = bool(possible) and possible[-1] < grid[-1]
    return Beyond(value, possible[0] if possible else None, possible[-1] if ends else None, grid[-1])


def _difference(ours: Extrapolation, theirs: Extrapolation, labels: int) -> tuple[float, float, float]:
    """Value, low and high of ours minus theirs."""
    a, b = ours.predict(labels), theirs.predict(labels)
    value = a.value - b.value
    return value, value - math.hypot(a.value - a.low, b.high - b.value), value + math.hypot(a.high - a.value, b.value - b.low)
