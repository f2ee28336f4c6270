"""Nights of simulated predictions, judged by the rule itself (jobs.promotion.decision.weigh): no formula of ours stands in.

Stream assumed: 20 new labelled images a night, of which the share ``schedule.fresh`` (0.2, so 4) judges before it trains.
Every night has a new challenger. Whether a model gets an image right: a normal variable below the quantile of its accuracy,
correlated ``rho`` between models on one image (hard images are hard for all). 0.8 is what two trainings of one network show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import special

from jobs.metrics.predictions import Bools, Floats, Ints, Predictions
from jobs.promotion.decision import weigh
from jobs.promotion.rule import Rule
from jobs.promotion.verdict import PROMOTED
from jobs.statistics.sequential import Level

NEW, SHARE, ACCURACY = 20, 0.2, 0.9
Recalls = list[float]
Quality = Callable[[int, Recalls], Recalls]
"""(night from 1, the champion's true recalls) -> those of the night's challenger."""


def equals(_: int, champion: Recalls) -> Recalls:
    return [ACCURACY] * len(champion)


def worse_by(loss: float) -> Quality:
    """Every challenger a little worse than the champion of that night."""
    return lambda _, champion: [recall - loss for recall in champion]


@dataclass
class World:
    """``n`` pinned images of ``classes`` in equal shares, ``group`` of which are one unit (and are right or wrong together)."""

    rng: np.random.Generator
    n: int
    classes: int = 2
    rho: float = 0.0
    group: int = 1
    labels: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.labels = np.arange(self.n) // self.group % self.classes
        self.groups = np.arange(self.n) // self.group
        self.hard = self.rng.normal(size=self.groups[-1] + 1)
        self.fresh = np.zeros((0, 2))  # label, hardness

    def right(self, recalls: Recalls) -> Bools:
        own = self.rng.normal(size=len(self.hard))
        cut = special.ndtri(np.array(recalls)[self.labels[:: self.group]])
        return np.asarray(self._mixed(self.hard, own) < cut)[self.groups]

    def predictions(self, right: Bools) -> Predictions:
        p = np.zeros((self.n, self.classes))
        p[np.arange(self.n), np.where(right, self.labels, (self.labels + 1) % self.classes)] = 1.0
        return Predictions(self.labels, p, self.groups)

    def arrive(self) -> None:
        """A night's share of new images; the oldest leave to train once there are as many as pinned ones."""
        count = int(NEW * SHARE)
        new = np.stack([self.rng.integers(self.classes, size=count), self.rng.normal(size=count)], axis=1)
        self.fresh = np.concatenate([self.fresh, new])[-self.n :]

    def printed(self, recalls: Recalls, own: Floats) -> float:
        """Accuracy on the fresh images; ``own``: the model's part of its answers to every fresh image there ever was."""
        cut = special.ndtri(np.array(recalls)[self.fresh[:, 0].astype(int)])
        return float((self._mixed(self.fresh[:, 1], own[: len(self.fresh)]) < cut).mean())

    def _mixed(self, shared: Floats, own: Floats) -> Floats:
        return np.asarray(np.sqrt(self.rho) * shared + np.sqrt(1 - self.rho) * own)


@dataclass
class Year:
    """What came of it, night by night: the champion's true accuracy, its score on the pinned images, its printed number."""

    true: list[float] = field(default_factory=list)
    pinned: list[float] = field(default_factory=list)
    printed: list[float] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)  #: "promoted", or why not
    champion: Predictions | None = None  #: the last night's
    recalls: Recalls = field(default_factory=list)
    level: Level | None = None

    @property
    def why(self) -> Counter[str]:
        return Counter(self.outcomes)


def live(world: World, rule: Rule, nights: int, quality: Quality = equals) -> Year:
    """A first champion, then a challenger a night."""
    year = Year(recalls=[ACCURACY] * world.classes)
    year.champion = world.predictions(world.right(year.recalls))
    error = float(np.sqrt(ACCURACY * (1 - ACCURACY) * world.group / world.n))
    year.level = Level.start(float(year.champion.right.mean()), error)
    for night in range(1, nights + 1):
        world.arrive()
        step(world, rule, year, quality(night, year.recalls))
        year.true.append(float(np.mean(year.recalls)))
        year.pinned.append(float(year.champion.right.mean()))
        year.printed.append(world.printed(year.recalls, world.rng.normal(size=world.n)))
    return year


def step(world: World, rule: Rule, year: Year, recalls: Recalls) -> None:
    """A night: its challenger has these true recalls."""
    assert year.champion is not None
    challenger, names = world.predictions(world.right(recalls)), [f"c{i}" for i in range(world.classes)]
    weighed = weigh(rule, challenger, year.champion, names, year.level, interval=False)
    year.level = weighed.level
    year.outcomes.append(weighed.verdict.why or PROMOTED)
    if weighed.verdict.outcome == PROMOTED:
        year.champion, year.recalls = challenger, recalls


def promoted_within(world: World, rule: Rule, year: Year, recalls: Recalls, nights: int, times: int) -> float:
    """From where ``year`` ended, ``times`` anew: how often such challengers are promoted within so many nights."""
    found = 0
    for _ in range(times):
        branch = replace(year, outcomes=[])
        while len(branch.outcomes) < nights and PROMOTED not in branch.outcomes:
            step(world, rule, branch, recalls)
        found += PROMOTED in branch.outcomes
    return found / times


def one_class(recall: float, classes: int, compensate: bool) -> Recalls:
    """The first class falls; with ``compensate`` the others gain so much that the whole stays as good."""
    rest = min(1.0, ACCURACY + (ACCURACY - recall) / (classes - 1)) if compensate else ACCURACY
    return [recall, *[rest] * (classes - 1)]
