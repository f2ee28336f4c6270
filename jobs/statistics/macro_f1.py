"""The difference of two models' macro F1 on the same images, by a paired bootstrap within classes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.statistics.crossed import LEVEL, Spread
from jobs.statistics.units import Floats, Ints

DRAWS = 2000


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
    units = _Units.of(labels, np.concatenate([predicted_a, predicted_b]), groups, classes)
    seeds = len(predicted_a)
    once = units.macro_f1(units.counts[None, :].astype(np.float64))[:, 0]
    by_seed = once[:seeds] - once[seeds:]
    drawn = units.macro_f1(units.draw(draws))
    means = (drawn[:seeds] - drawn[seeds:]).mean(axis=0)
    value = float(by_seed.mean())
    if seeds == 1:
        low, high = np.quantile(means, [LEVEL / 2, 1 - LEVEL / 2])
        return F1Difference(value, float(low), float(high))
    from_images, from_seeds = float(means.var()), float(by_seed.var(ddof=1)) / seeds
    total = from_images + from_seeds
    df = (seeds - 1) * (total / from_seeds) ** 2 if from_seeds > 1e-15 else float(len(labels) - 1)
    spread = Spread(value, float(np.sqrt(total)), df)
    return F1Difference(value, spread.low, spread.high)


@dataclass(frozen=True)
class _Units:
    """Groups of images, those with the same labels and predictions as one kind of which there are ``counts`` [kinds].

    ``stratum`` [kinds] is the class they are drawn in. ``true`` [kinds, c], ``said`` and ``hits`` [models, kinds, c] count a
    kind's images of each class, predicted to be of it, and both.
    """

    counts: Ints
    stratum: Ints
    true: Floats
    said: Floats
    hits: Floats

    @staticmethod
    def of(labels: Ints, predicted: Ints, groups: Sequence[str], classes: int) -> _Units:
        """``predicted`` [models, n]."""
        rows: dict[str, list[tuple[int, ...]]] = {}
        for group, row in zip(groups, np.vstack([labels, predicted]).T.tolist(), strict=True):
            rows.setdefault(group, []).append(tuple(row))
        kinds: dict[tuple[tuple[int, ...], ...], int] = {}
        for unit in rows.values():
            key = tuple(sorted(unit))
            kinds[key] = kinds.get(key, 0) + 1
        true = np.zeros((len(kinds), classes))
        said, hits = np.zeros((2, len(predicted), len(kinds), classes))
        for place, key in enumerate(kinds):
            for label, *answers in key:
                true[place, label] += 1
                for model, answer in enumerate(answers):
                    said[model, place, answer] += 1
                    hits[model, place, answer] += answer == label
        return _Units(np.array(list(kinds.values())), np.array([key[0][0] for key in kinds]), true, said, hits)

    def draw(self, draws: int) -> Floats:
        """[draws, kinds] how often each kind comes when units are drawn with replacement within their class. Seeded."""
        rng, drawn = np.random.default_rng(0), np.zeros((draws, len(self.counts)))
        for label in np.unique(self.stratum):
            members = np.flatnonzero(self.stratum == label)
            n = self.counts[members].sum()
            drawn[:, members] = rng.multinomial(n, self.counts[members] / n, size=draws)
        return drawn

    def macro_f1(self, weights: Floats) -> Floats:
        """[models, b] for ``weights`` [b, kinds]. A class that is never met nor predicted scores 0."""
        true = weights @ self.true
        found = []
        for said, hits in zip(self.said, self.hits, strict=True):
            either = true + weights @ said
            f1 = np.divide(2 * (weights @ hits), either, out=np.zeros_like(either), where=either > 0)
            found.append(f1.mean(axis=1))
        return np.stack(found)
