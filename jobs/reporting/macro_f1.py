"""The difference of two models' macro F1 on the same images, by a paired bootstrap within classes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.reporting.comparisons import LEVEL, Floats, Ints, Spread

DRAWS = 2000
CHUNK = 250


@dataclass(frozen=True)
class F1Difference:
    """Macro F1 of a minus that of b (mean over seeds), with its 95 % interval, as fractions."""

    value: float
    low: float
    high: float


def f1_difference(
    labels: Ints, predicted_a: Ints, predicted_b: Ints, groups: Sequence[str], classes: int, *, draws: int = DRAWS
) -> F1Difference:
    """``labels`` [n], ``predicted_*`` [seeds, n]. Groups of images are drawn with replacement among those of their class.

    With several seeds the spread between them is added (a t interval with Satterthwaite's degrees of freedom).
    """
    n, seeds = len(labels), len(predicted_a)
    everyone = np.ones((1, n))
    by_seed = np.array(
        [
            _macro_f1(everyone, labels, a, classes)[0] - _macro_f1(everyone, labels, b, classes)[0]
            for a, b in zip(predicted_a, predicted_b, strict=True)
        ]
    )
    drawn = np.zeros(0)
    for weights in _resampled(labels, groups, draws):
        pairs = zip(predicted_a, predicted_b, strict=True)
        means = sum(_macro_f1(weights, labels, a, classes) - _macro_f1(weights, labels, b, classes) for a, b in pairs) / seeds
        drawn = np.append(drawn, means)
    value = float(by_seed.mean())
    if seeds == 1:
        low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2])
        return F1Difference(value, float(low), float(high))
    from_images, from_seeds = float(drawn.var()), float(by_seed.var(ddof=1)) / seeds
    total = from_images + from_seeds
    df = (seeds - 1) * (total / from_seeds) ** 2 if from_seeds > 1e-15 else float(n - 1)
    spread = Spread(value, float(np.sqrt(total)), df)
    return F1Difference(value, spread.low, spread.high)


def _macro_f1(weights: Floats, labels: Ints, predicted: Ints, classes: int) -> Floats:
    """[draws] macro F1 when image i counts ``weights[:, i]`` times. A class that is never met nor predicted scores 0."""
    true = np.eye(classes)[labels]
    said = np.eye(classes)[predicted]
    hits = weights @ (true * said)
    either = weights @ true + weights @ said
    f1: NDArray[np.float64] = np.divide(2 * hits, either, out=np.zeros_like(hits), where=either > 0)
    mean: Floats = f1.mean(axis=1)
    return mean


def _resampled(labels: Ints, groups: Sequence[str], draws: int) -> Iterator[Floats]:
    """Weights of images in each draw, in pieces [<= CHUNK, n]. A group belongs to the class of its first image. Seeded."""
    _, first, place = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    stratum = labels[first]
    rng = np.random.default_rng(0)
    for start in range(0, draws, CHUNK):
        size = min(CHUNK, draws - start)
        counts = np.zeros((size, len(first)))
        for label in np.unique(stratum):
            members = np.flatnonzero(stratum == label)
            counts[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=size)
        yield counts[:, place]
