"""Nights of simulated predictions, many schedules side by side; what decides is the rule itself (jobs.promotion.verdict.judge).

Stream assumed where nothing else is said: 20 new labelled images a night, of which the share ``schedule.fresh`` (0.2, so 4)
judges before it trains. Every night has a new challenger. Whether a model gets an image right: a normal variable below the
quantile of its accuracy, correlated ``rho`` between models on one image (hard images are hard for all). 0.8 is what two
trainings of one network show. Only the counting of images is done for all schedules at once here; that it is the step's own
(``weigh``) is a test (test_simulated).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from jobs.promotion.paired import ClassTest, Estimate
from jobs.promotion.rule import Rule
from jobs.promotion.verdict import PROMOTED, judge
from jobs.statistics.permutation import one_sided
from jobs.statistics.predictions import Bools, Floats, Ints, Predictions
from jobs.statistics.sequential import Level

SHARE, ACCURACY = 0.2, 0.9
Quality = Callable[[int, Floats], Floats]
"""(night from 1, true recalls of the champions [schedules, classes]) -> those of the night's challengers."""


def equals(_: int, champions: Floats) -> Floats:
    return np.full_like(champions, ACCURACY)


def worse_by(loss: float) -> Quality:
    """Every challenger a little worse than the champion of that night."""
    return lambda _, champions: champions - loss


def one_class(recall: float, classes: int, compensate: bool) -> list[float]:
    """The first class falls; with ``compensate`` the others gain so much that the whole stays as good."""
    rest = min(1.0, ACCURACY + (ACCURACY - recall) / (classes - 1)) if compensate else ACCURACY
    return [recall, *[rest] * (classes - 1)]


@dataclass(frozen=True)
class World:
    """``n`` pinned images of ``classes`` in equal shares; ``group`` of them are one unit (of one class, right or wrong
    together). ``new``: labelled images that come every night."""

    n: int
    classes: int = 2
    rho: float = 0.0
    group: int = 1
    new: int = 20

    @property
    def units(self) -> int:
        return self.n // self.group

    @property
    def unit_labels(self) -> Ints:
        return np.arange(self.units) % self.classes

    @property
    def labels(self) -> Ints:
        return np.repeat(self.unit_labels, self.group)

    @property
    def groups(self) -> Ints:
        return np.repeat(np.arange(self.units), self.group)

    def predictions(self, right: Bools) -> Predictions:
        """Of one schedule's units [units], as the step would read them."""
        hit, p = np.repeat(right, self.group), np.zeros((self.n, self.classes))
        p[np.arange(self.n), np.where(hit, self.labels, (self.labels + 1) % self.classes)] = 1.0
        return Predictions(self.labels, p, self.groups)


@dataclass
class Schedules:
    """``count`` schedules and what became of each, night by night.

    ``recalls`` [count, classes] and ``right`` [count, units] are the champions'; lists hold an array [count] a night: their
    true accuracy, their score on the pinned images, that without luck, their accuracy on fresh images (NaN: there are none).
    ``why``: a night's outcomes, "promoted" or why not.
    """

    world: World
    rng: np.random.Generator
    hard: NDArray[np.float32]
    recalls: Floats
    right: Bools
    levels: list[Level]
    fresh: Fresh
    true: list[Floats] = field(default_factory=list)
    pinned: list[Floats] = field(default_factory=list)
    unlucky: list[Floats] = field(default_factory=list)
    printed: list[Floats] = field(default_factory=list)
    why: list[list[str]] = field(default_factory=list)

    @staticmethod
    def start(world: World, count: int, seed: int = 7) -> Schedules:
        """Each with a first champion."""
        rng = np.random.default_rng([7, seed])
        hard = rng.standard_normal((count, world.units), dtype=np.float32)
        recalls = np.full((count, world.classes), ACCURACY)
        right = answers(world, rng, hard, recalls)
        error = np.maximum(right.std(axis=1, ddof=1) / world.units**0.5, 1 / world.n)
        levels = [Level.start(float(score), float(e)) for score, e in zip(right.mean(axis=1), error, strict=True)]
        return Schedules(world, rng, hard, recalls, right, levels, Fresh.none(count))

    def again(self, times: int) -> Schedules:
        """Each ``times``, as it stands, without a past."""
        grown = [np.repeat(each, times, axis=0) for each in (self.hard, self.recalls, self.right)]
        levels = [level for level in self.levels for _ in range(times)]
        return Schedules(self.world, self.rng, *grown, levels, Fresh.none(len(levels)))

    def live(self, rule: Rule, nights: int, quality: Quality = equals) -> Schedules:
        for night in range(1, nights + 1):
            promoted = self.step(rule, quality(night, self.recalls))
            self.fresh = self.fresh.night(self, promoted)
            self.true.append(self.recalls.mean(axis=1))
            self.pinned.append(self.right.mean(axis=1))
            self.printed.append(self.fresh.accuracy)
        return self

    def step(self, rule: Rule, recalls: Floats) -> Bools:
        """A night of which the challengers have these true recalls [count, classes]; who of them was promoted."""
        right, why, fair = answers(self.world, self.rng, self.hard, recalls), [], []
        for number, (estimate, rows) in enumerate(counted(self.world, right, self.right)):
            level = self.levels[number]
            why.append(judge(rule, estimate, rows, level).why or PROMOTED)
            after = self.levels[number] = level.then(estimate.challenger, estimate.spread)
            fair.append(after.expected(estimate.challenger if why[-1] == PROMOTED else estimate.champion, estimate.noise))
        promoted = np.array(why) == PROMOTED
        self.right = np.where(promoted[:, None], right, self.right)
        self.recalls = np.where(promoted[:, None], recalls, self.recalls)
        self.why.append(why)
        self.unlucky.append(np.array(fair))
        return promoted


def answers(world: World, rng: np.random.Generator, hard: NDArray[np.float32], recalls: Floats) -> Bools:
    """Which units models with ``recalls`` [count, classes] get right."""
    cut = special.ndtri(recalls).astype(np.float32)[:, world.unit_labels]
    own = rng.standard_normal(hard.shape, dtype=np.float32)
    return np.asarray(np.float32(world.rho**0.5) * hard + np.float32((1 - world.rho) ** 0.5) * own < cut)


@dataclass
class Fresh:
    """Images that no decision consults: class and hardness [count, images], and whether the champion gets them right."""

    labels: Ints
    hard: Floats
    right: Bools

    @staticmethod
    def none(count: int) -> Fresh:
        return Fresh(*(np.zeros((count, 0), dtype=kind) for kind in (np.int64, np.float64, np.bool_)))

    def night(self, all_: Schedules, promoted: Bools) -> Fresh:
        """After a night's new images came; the oldest leave to train once there are as many as pinned ones."""
        world, rng, count = all_.world, all_.rng, (len(all_.recalls), int(all_.world.new * SHARE))
        labels = np.concatenate([self.labels, rng.integers(world.classes, size=count)], axis=1)[:, -world.n :]
        hard = np.concatenate([self.hard, rng.normal(size=count)], axis=1)[:, -world.n :]
        cut = special.ndtri(np.take_along_axis(all_.recalls, labels, axis=1))
        mixed = world.rho**0.5 * hard + (1 - world.rho) ** 0.5 * rng.normal(size=hard.shape)
        right = np.concatenate([self.right, np.zeros(count, dtype=bool)], axis=1)[:, -world.n :]
        come = np.arange(labels.shape[1]) >= labels.shape[1] - count[1]
        return Fresh(labels, hard, np.where(promoted[:, None] | come, mixed < cut, right))

    @property
    def accuracy(self) -> Floats:
        return self.right.mean(axis=1) if self.right.shape[1] else np.full(len(self.right), np.nan)


def counted(world: World, challenger: Bools, champion: Bools) -> list[tuple[Estimate, list[ClassTest]]]:
    """What ``compare`` and ``class_tests`` find, of many schedules' units [count, units] at once."""
    moved = challenger.astype(np.int8) - champion
    columns = [slice(label, None, world.classes) for label in range(world.classes)]
    gained, lost = (np.stack([(moved[:, c] == s).sum(axis=1) for c in columns], axis=1) for s in (1, -1))
    n = np.bincount(world.unit_labels, minlength=world.classes) * world.group
    a, b = (np.stack([right[:, c].mean(axis=1) for c in columns], axis=1).tolist() for right in (challenger, champion))
    errors, spreads = (_errors(world, values) for values in (moved, challenger))
    ups, downs, p = gained.sum(axis=1), lost.sum(axis=1), _p(lost, gained)
    better, worse = _p(ups, downs), _p(downs, ups)
    found = []
    for i, (score, other) in enumerate(zip(challenger.mean(axis=1).tolist(), champion.mean(axis=1).tolist(), strict=True)):
        rows = [
            ClassTest(f"c{c}", int(n[c]), a[i][c], b[i][c], int(gained[i, c]), int(lost[i, c]), float(p[i, c]))
            for c in range(world.classes)
        ]
        sides = (float(better[i]), int(ups[i]), int(downs[i]), float(worse[i]), float(errors[i]), float(spreads[i]))
        found.append((Estimate("accuracy", score, other, np.nan, np.nan, *sides, world.units), rows))
    return found


def _errors(world: World, values: NDArray[np.generic]) -> Floats:
    """Standard errors of means over units; no less than one image moves them."""
    return np.asarray(np.maximum(values.std(axis=1, ddof=1) / world.units**0.5, 1 / world.n))


def _p(won: Ints, lost: Ints) -> Floats:
    """One-sided sign tests, each by the step's own function once."""
    pairs, back = np.unique(np.stack([won.ravel(), lost.ravel()], axis=1), axis=0, return_inverse=True)
    table = np.array([_sign_test(*pair) for pair in pairs.tolist()])
    return np.asarray(table[back.ravel()].reshape(won.shape))


@cache
def _sign_test(won: int, lost: int) -> float:
    return one_sided(np.repeat([1, -1], (won, lost)))


def promoted_within(past: Schedules, rule: Rule, recalls: list[float], nights: int, times: int) -> float:
    """Share in which such challengers are promoted within so many nights, each schedule ``times`` from where ``past`` ended."""
    branch = past.again(times)
    for _ in range(nights):
        branch.step(rule, np.tile(recalls, (len(branch.recalls), 1)))
    return float(np.mean((np.array(branch.why) == PROMOTED).any(axis=0)))
