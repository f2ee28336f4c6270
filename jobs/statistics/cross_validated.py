"""Intervals of what cross-validation says: each image is judged once, but the models that judge share their training images.

Counting images as independent is too sure: it leaves out what other training images would have made. Nadeau and Bengio (2003,
Inference for the Generalization Error) multiply the variance by (1/k + n_test/n_train) / (1/k) = 1 + k / (k - 1) for k folds.
That covers in all of our simulations (tests/jobs/statistics/test_cross_validated.py), and is too wide where much data train.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jobs.statistics.clusters import degrees_of_freedom
from jobs.statistics.differences import LEVEL, Difference, paired_difference
from jobs.statistics.score import quantile
from jobs.statistics.shares import effective_n, wilson
from jobs.statistics.units import Bools, Groups, numbered, unit_sizes


def inflation(folds: int) -> float:
    """Of the variance, by ``folds`` folds: 2.25 for five."""
    return 1 + folds / (folds - 1)


def cross_validated_share(right: Bools, groups: Groups, folds: int) -> tuple[float, float]:
    """Wilson's interval of the share right of a model trained on (k - 1) / k of as many images, over other images of both.

    ``right`` [n]: each image judged by the model that it did not train; ``groups`` [n]: units, which no fold divides.
    """
    n = effective_n(right, groups) / inflation(folds)
    z = quantile(degrees_of_freedom(unit_sizes(numbered(groups))), LEVEL)
    if not np.isfinite(z):
        return 0.0, 1.0
    return wilson(float(np.mean(right)) * n, n, z)


def cross_validated_difference(right_a: Bools, right_b: Bools, groups: Groups, folds: int) -> Difference:
    """As ``paired_difference`` of two methods on the same images and folds, ``right_*`` [n]; p is the score's."""
    plain = paired_difference(right_a[None], right_b[None], groups)
    score = replace(plain.score, scale=plain.score.scale * inflation(folds))
    p = max(plain.p, score.p())
    low, high = score.interval(LEVEL, p)
    return replace(plain, p=p, p_adjusted=p, low=low, high=high, low_adjusted=low, high_adjusted=high, score=score)
