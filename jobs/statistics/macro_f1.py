"""The difference of two models' macro F1 on the same images, by a paired bootstrap within classes. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.statistics.clusters import degrees_of_freedom, kish
from jobs.statistics.over_seeds import LEVEL, widened
from jobs.statistics.score import quantile
from jobs.statistics.units import Floats, Ints, numbered, unit_sizes

DRAWS = 2000
CHUNK_VALUES = 2**22  #: of draws and kinds of units in memory at a time


@dataclass(frozen=True)
class F1Difference:
    """Macro F1 of a minus that of b (mean over seeds), with its 95 % interval, as fractions."""

    value: float
    low: float
    high: float


def f1_difference(
    labels: Ints, predicted_a: Ints, predicted_b: Ints, groups: Sequence[str], classes: int, *, draws: int = DRAWS
) -> F1Difference:
    """``labels`` [n], ``predicted_*`` [seeds, n]. Units of images are drawn with replacement among those of their class.

    Percentiles alone have no width where no image is discordant: to the square of each side that of c^2 units is added, c the
    critical value and a unit weighing what an image weighs in the mean over classes; with nothing discordant that is Tango's
    interval (jobs.statistics.score). Several seeds add their spread (jobs.statistics.over_seeds).
    """
    units = _Units.of(labels, np.concatenate([predicted_a, predicted_b]), groups, classes)
    seeds = len(predicted_a)
    once = units.macro_f1(units.once)[:, 0]
    by_seed = once[:seeds] - once[seeds:]
    drawn = units.macro_f1(units.draw(draws))
    differences = drawn[:seeds] - drawn[seeds:]
    value = float(by_seed.mean())
    low, high = _from_images(value, differences.mean(axis=0), labels, unit_sizes(numbered(groups)), classes)
    if seeds > 1 and np.ptp(by_seed) > 1e-15:
        low, high = widened(value, low, high, by_seed, differences)
    return F1Difference(value, max(-1.0, low), min(1.0, high))


def _from_images(value: float, drawn: Floats, labels: Ints, sizes: Ints, classes: int) -> tuple[float, float]:
    """The interval for other test images, these models given. -1 to 1 where one unit is all there is."""
    critical, n = quantile(degrees_of_freedom(sizes), LEVEL), len(labels)
    if math.isinf(critical):
        return -1.0, 1.0
    counts = np.bincount(labels, minlength=classes)
    weight = kish(sizes) / n * math.sqrt(n / classes**2 * float((1 / counts[counts > 0]).sum()))
    low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2])
    wider = critical / quantile(math.inf, LEVEL)
    below, above = (math.hypot(wider * max(side, 0.0), critical**2 * weight) for side in (value - low, high - value))
    return value - below, value + above


@dataclass(frozen=True)
class _Units:
    """Groups of images, those with the same labels and predictions as one kind of which there are ``counts`` [kinds].

    ``stratum`` [kinds] is the class they are drawn in. ``columns`` [kinds, (1 + 2 models) c], sparse, counts a kind's images:
    of each class, then of each model those predicted to be of it, then of each model those rightly so.
    """

    counts: Ints
    stratum: Ints
    columns: Any
    classes: int

    @staticmethod
    def of(labels: Ints, predicted: Ints, groups: Sequence[str], classes: int) -> _Units:
        """``predicted`` [models, n]."""
        from scipy.sparse import csr_array

        rows: dict[str, list[tuple[int, ...]]] = {}
        for group, row in zip(groups, np.vstack([labels, predicted]).T.tolist(), strict=True):
            rows.setdefault(group, []).append(tuple(row))
        kinds: dict[tuple[tuple[int, ...], ...], int] = {}
        for unit in rows.values():
            key = tuple(sorted(unit))
            kinds[key] = kinds.get(key, 0) + 1
        place = np.array([place for place, key in enumerate(kinds) for _ in key])
        label, *answers = np.array([image for key in kinds for image in key]).T
        models = len(answers)
        met = [(place, label)]
        met += [(place, (1 + model) * classes + answer) for model, answer in enumerate(answers)]
        met += [
            (place[answer == label], (1 + models + model) * classes + label[answer == label])
            for model, answer in enumerate(answers)
        ]
        where = tuple(np.concatenate(each) for each in zip(*met, strict=True))
        columns = csr_array((np.ones(len(where[0])), where), shape=(len(kinds), (1 + 2 * models) * classes))
        return _Units(np.array(list(kinds.values())), np.array([key[0][0] for key in kinds]), columns, classes)

    @property
    def once(self) -> Iterable[tuple[Ints, Floats]]:
        """As ``draw``: every unit as it is there."""
        return [(np.arange(len(self.counts)), self.counts[:, None].astype(np.float64))]

    def draw(self, draws: int) -> Iterator[tuple[Ints, Floats]]:
        """Some kinds after the others, and how often each comes [of these, draws] in units drawn within classes. Seeded."""
        rng, kinds, drawn = np.random.default_rng(0), list[Ints](), list[Ints]()
        for label in np.unique(self.stratum):
            members = np.flatnonzero(self.stratum == label)
            n = self.counts[members].sum()
            kinds.append(members)
            drawn.append(rng.multinomial(n, self.counts[members] / n, size=draws).T)
            if draws * sum(map(len, kinds)) > CHUNK_VALUES:
                yield np.concatenate(kinds), np.concatenate(drawn).astype(np.float64)
                kinds, drawn = [], []
        if kinds:
            yield np.concatenate(kinds), np.concatenate(drawn).astype(np.float64)

    def macro_f1(self, drawn: Iterable[tuple[Ints, Floats]]) -> Floats:
        """[models, b]. A class that is never met nor predicted scores 0. Sums are of whole numbers: their order is nothing."""
        sums = sum(self.columns[kinds].T @ weights for kinds, weights in drawn)
        true, *counted = np.asarray(sums).reshape(-1, self.classes, np.shape(sums)[1])
        models = len(counted) // 2
        found = []
        for said, hits in zip(counted[:models], counted[models:], strict=True):
            either = true + said
            f1 = np.divide(2 * hits, either, out=np.zeros_like(either), where=either > 0)
            found.append(np.ascontiguousarray(f1.T).mean(axis=1))
        return np.stack(found)
