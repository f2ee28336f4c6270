"""Labels that are probably wrong: each image judged by a model that has not seen it, the surest disagreements first.

Ranked as confident learning's normalised margin does (Northcutt, Jiang and Chuang 2021, JAIR 70), on the scale of log odds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jobs.statistics.predictions import Floats, Ints

KEPT = 200
FOLDS = 5
CS = (3e-4, 1e-3, 3e-3)
"""Inverse penalties tried: strong ones, as wrong labels are to be seen, not learnt."""
WIDE, PROJECTED = 2048, 1024  #: wider features are projected first: a flattened map must not cost hours
EPS = 1e-12
NEAR = 3e-6
"""How near each regression comes to its minimum, as a share of its loss: probabilities are right to about 0.005."""
BLOCK = 4096  #: images of which all probabilities are held at once
UNSEEN = 20.0  #: by which the logit of a class that was not learnt lies below the least intercept of those that were


@dataclass(frozen=True)
class Suspect:
    """``place`` in the judged images; ``other`` is the likeliest class but the label; probabilities of both."""

    place: int
    label: int
    other: int
    p_label: float
    p_other: float

    @property
    def margin(self) -> float:
        """p(other) - p(label), in [-1, 1]."""
        return self.p_other - self.p_label


@dataclass(frozen=True)
class Odds:
    """Of each image, all [n]: the probability of its label, the likeliest ``other`` class, and that one's probability.

    ``excess``: how far above its minimum the search for a regression that says so stopped at most, as a share of its loss.
    """

    p_label: Floats
    other: Ints
    p_other: Floats
    excess: float = 0.0

    @property
    def log(self) -> Floats:
        """log p(other) / p(label): the higher, the more suspect the label."""
        return np.asarray(np.log(np.maximum(self.p_other, EPS)) - np.log(np.maximum(self.p_label, EPS)))

    @property
    def losses(self) -> Floats:
        """-log of what the label was given, nats."""
        return np.asarray(-np.log(np.maximum(self.p_label, EPS)))

    @property
    def stopped_early(self) -> str:
        """A sentence where a search stopped far before the end that was asked for, else nothing."""
        return f"a search stopped {self.excess:.1g} of its loss above the minimum" if self.excess > 10 * NEAR else ""

    def put(self, places: Ints, own: Odds) -> None:
        """What is said of the images at ``places``."""
        self.p_label[places], self.other[places], self.p_other[places] = own.p_label, own.other, own.p_other


def odds_of(probabilities: Floats, labels: Ints) -> Odds:
    """``probabilities`` [n, c], ``labels`` [n]."""
    found = _unknown(len(labels))
    for start in range(0, len(labels), BLOCK):
        block = slice(start, start + BLOCK)
        others = probabilities[block].copy()
        rows = np.arange(len(others))
        found.p_label[block] = others[rows, labels[block]]
        others[rows, labels[block]] = -1.0
        found.other[block], found.p_other[block] = others.argmax(axis=1), others.max(axis=1)
    return found


def _unknown(n: int) -> Odds:
    return Odds(np.zeros(n), np.zeros(n, dtype=np.int64), np.zeros(n))


def _any_other(labels: Ints) -> Ints:
    """[n] the first class but the label."""
    return np.where(labels == 0, 1, 0)


def rank(odds: Odds, labels: Ints, kept: int = KEPT) -> list[Suspect]:
    """Images whose label another class beats, by falling log p(other) / p(label): unlike the margin it never saturates.

    ``labels`` [n]; at most ``kept``.
    """
    logs = odds.log
    order = [int(i) for i in np.argsort(-logs, kind="stable") if logs[i] > 0][:kept]
    return [Suspect(i, int(labels[i]), int(odds.other[i]), float(odds.p_label[i]), float(odds.p_other[i])) for i in order]


def out_of_fold(
    features: NDArray[np.float32],
    labels: Ints,
    n_classes: int,
    groups: Ints,
    *,
    cs: Sequence[float] = CS,
    also: Callable[[int, Ints, Floats], None] = lambda place, held, probabilities: None,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Odds:
    """By a logistic regression that has not seen the image nor any of its group; of so many classes no more is kept.

    Of ``cs`` (inverse penalties on standardised features) the one with the lowest held-out log loss is taken; where images are
    many, a C that is clearly worse is not tried on all folds (jobs.heads.race). Where there is
    nothing to compare with (all other images are of one class), all classes are equally likely. ``also`` is told all, of the
    race's first fold what is left of it twice where it is nearer then: the place of the C, the images, and their probabilities
    [held, n_classes].
    """
    from jobs.heads.cores import one_thread
    from jobs.heads.held_out import CHOOSING, SMALL, Outputs, held_out, size_of
    from jobs.heads.race import Judged, race
    from jobs.metrics.calibration import softmax

    fold_of = folds_of(labels, groups)
    with one_thread():  # another number of threads may sum otherwise
        features = narrowed(features)
    by_c = [Odds(np.full(len(labels), 1 / n_classes), _any_other(labels), np.full(len(labels), 1 / n_classes)) for _ in cs]
    parts = [np.flatnonzero(fold_of == number) for number in np.unique(fold_of)]

    def keep(said: Outputs) -> Judged:
        own = by_c[said.place]
        for start in range(0, len(said.held), BLOCK):
            held = said.held[start : start + BLOCK]
            logits = np.full((len(held), n_classes), said.lowest - UNSEEN)
            logits[:, said.classes] = said.logits[start : start + BLOCK]
            probabilities = softmax(logits)
            own.put(held, odds_of(probabilities, labels[held]))
            also(said.place, held, probabilities)
        return own.losses[said.held], own.log[said.held] < 0

    if size_of(labels) > SMALL:
        counts, units = np.ones(len(labels)), np.unique(groups, return_inverse=True)[1]
        judged = race(features, labels, parts, cs, keep, counts=counts, units=units, relative=CHOOSING, exact=NEAR, tick=tick)
        return replace(by_c[judged.place], excess=judged.excess)

    def keep_alone(said: Outputs) -> float:
        keep(said)
        return said.excess

    excess = held_out(features, labels, parts, cs, keep_alone, relative=NEAR, tick=tick)
    best = int(np.argmin([odds.losses.mean() for odds in by_c]))
    return replace(by_c[best], excess=max(excess, default=0.0))


def narrowed(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n, d] as they are up to WIDE, else standardised and projected onto PROJECTED random directions."""
    n, d = features.shape
    if d <= WIDE:
        return features
    chance = np.random.default_rng(0)
    projected = np.zeros((n, PROJECTED), dtype=np.float32)
    for start in range(0, d, WIDE):
        block = features[:, start : start + WIDE]
        spread = block.std(axis=0)
        block = (block - block.mean(axis=0)) / np.where(spread > EPS, spread, 1.0)
        projected += block @ chance.standard_normal((block.shape[1], PROJECTED), dtype=np.float32) / np.sqrt(np.float32(d))
    return projected


def folds_of(labels: Ints, groups: Ints, folds: int = FOLDS) -> Ints:
    """[n] fold of each image: the units of each class dealt out in turn, in an order drawn once; a unit stays together."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    chance = np.random.default_rng(0).permutation(len(first))
    order = np.lexsort((chance, labels[first]))
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % folds
    return fold[place]
