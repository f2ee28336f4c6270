"""Whether a classifier is shown to be better than always naming the commonest class. Pure.

Chance is the share of the largest class among the test images: with balanced classes 1 / classes, else more. What is not
above it has not been shown to see anything in the images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from jobs.statistics.permutation import one_sided
from jobs.statistics.units import Groups, Ints, differences, numbered

LEVEL = 0.05


@dataclass(frozen=True)
class AboveChance:
    """``rate``: what naming the commonest class gets right; ``p``: one-sided, of a classifier that is no better."""

    rate: float
    p: float

    @property
    def shown(self) -> bool:
        return self.p < LEVEL


def above_chance(predicted: Ints, labels: Ints, groups: Groups) -> AboveChance:
    """``predicted`` [seeds, n] classes, ``labels`` [n], ``groups`` [n].

    Where each image is a unit: the exact binomial test of the number right against the rate. Where units have several images,
    which are right or wrong together: the exact sign-flip test against the classifier that always names the commonest class.
    Several seeds: twice the mean of their p-values, which is a p-value however they depend (Rüschendorf 1982).
    """
    classes, counts = np.unique(labels, return_counts=True)
    commonest, rate = classes[int(counts.argmax())], float(counts.max() / len(labels))
    right, single = predicted == labels, len(set(numbered(groups).tolist())) == len(labels)
    if single:
        found = [_binomial(int(row.sum()), len(labels), rate) for row in right]
    else:
        found = [one_sided(differences(row, labels == commonest, groups)) for row in right]
    return AboveChance(rate, found[0] if len(found) == 1 else min(1.0, 2 * float(np.mean(found))))


def _binomial(right: int, images: int, rate: float) -> float:
    """P(X >= right) of X binomial(images, rate)."""
    return float(special.bdtrc(right - 1, images, rate)) if right else 1.0
