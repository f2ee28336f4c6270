"""Where transfer stops paying: within the data between numbers of labels, beyond them by laws; both cover the truth.

Two learners in worlds of which the curves are known, the second trained with few draws: fewer repeats here, more with
TLBATCH_CHAOS=1.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, special

from jobs.curves.beside import SIGNS, compare
from jobs.statistics.crossing import HORIZON, crossing_beyond, crossing_within
from jobs.statistics.power_law import extrapolate
from tests.requirements import CHAOS

LABELS = (5, 10, 20, 50, 100)
TEST, DRAWS, FEW = 400, 5, 3
UNITS = [str(number) for number in range(TEST)]
REPEATS = 600 if CHAOS else 25
LEAST = 0.93 if CHAOS else 0.93 - 0.07
HARD, LUCK = 0.7, 0.2


class Worlds:
    """Both learners' accuracy follows a law; the same images are hard for both, and each draw is lucky in its own way."""

    def __init__(self, seed: int, low: float, high: float) -> None:
        """The curves cross at a number of labels between ``low`` and ``high``, drawn."""
        self.chance = chance = np.random.default_rng(seed)
        self.truth = math.exp(chance.uniform(math.log(low), math.log(high)))
        a, b, c = chance.uniform(0.7, 0.85), chance.uniform(0.05, 0.25), chance.uniform(0.3, 0.8)
        steep, top = chance.uniform(0.6, 1.0), chance.uniform(0.05, 0.14)
        self.ours = (a, b, c)
        self.theirs = (a + top, (b * self.truth**-c + top) * self.truth**steep, steep)
        self.hard = chance.normal(0, HARD, TEST)

    @staticmethod
    def mean(law: tuple[float, float, float], labels: float) -> float:
        a, b, c = law
        return float(np.clip(a - b * labels**-c, 0.02, 0.995))

    def right(self, law: tuple[float, float, float], draws: int) -> np.ndarray:
        """[k, draws, n]"""
        lucky, rows = self.chance.normal(0, LUCK, draws), []
        for n in LABELS:
            level = special.ndtri(self.mean(law, n)) * math.sqrt(1 + HARD**2 + LUCK**2 / n)
            rows.append(self.chance.random((draws, TEST)) < special.ndtr(level + self.hard + lucky[:, None] / math.sqrt(n)))
        return np.array(rows)

    def observed(self) -> tuple[np.ndarray, np.ndarray]:
        return self.right(self.ours, DRAWS), self.right(self.theirs, FEW)


def test_the_worlds_cross_where_they_say() -> None:
    for seed in range(20):
        world = Worlds(seed, 3, 300)
        gap = lambda n: world.mean(world.ours, n) - world.mean(world.theirs, n)  # noqa: B023, E731
        assert gap(world.truth) == pytest.approx(0, abs=1e-9)
        assert gap(world.truth / 1.5) > 0 > gap(world.truth * 1.5)
        if gap(2.5) > 0 > gap(400):
            assert optimize.brentq(gap, 2.5, 400) == pytest.approx(world.truth, rel=1e-6)


def test_gains_of_few_draws_cover() -> None:
    """Three trainings a number of labels, paired with the first three draws of the curve."""
    hits = asked = 0
    for seed in range(REPEATS):
        world = Worlds(seed, 3, 300)
        ours, theirs = world.observed()
        rows = compare(ours[:, :FEW], theirs, UNITS, [0.0] * len(LABELS))
        for n, row in zip(LABELS, rows, strict=True):
            truth = world.mean(world.ours, n) - world.mean(world.theirs, n)
            hits += row["gain"]["low"] <= truth <= row["gain"]["high"]
            asked += 1
    assert hits / asked >= LEAST


@pytest.mark.parametrize(("low", "high"), [(2, 8), (6, 90), (80, 380)])
def test_the_crossing_is_where_it_is_said_to_be(low: float, high: float) -> None:
    """Fails when "shown up to" counts numbers of labels after one that is not shown, or the laws' own error is left out."""
    hits = told = 0
    for seed in range(REPEATS):
        world = Worlds(1000 + seed, low, high)
        ours, theirs = world.observed()
        rows = compare(ours[:, :FEW], theirs, UNITS, [0.0] * len(LABELS))
        gains, signs = [row["gain"]["value"] for row in rows], [SIGNS[row["verdict"]] for row in rows]
        within = crossing_within(LABELS, gains, signs)
        laws = [extrapolate(LABELS, right, UNITS, [0.0] * len(LABELS)) for right in (ours, theirs)]
        assert laws[0] is not None
        assert laws[1] is not None
        beyond = crossing_beyond(laws[0], laws[1], LABELS[-1])
        start, end = within.low, within.high
        if within.high is None and within.low is not None:
            start, end = (beyond.low if within.low == LABELS[-1] else within.low), beyond.high
        told += start is not None or end is not None
        hits += (start or 0) <= world.truth <= (end or math.inf)
    assert hits / REPEATS >= LEAST
    assert told / REPEATS > 0.1, "an interval that says nothing covers everything"


@pytest.mark.parametrize(
    ("gains", "signs", "expected"),
    [
        ([0.3, 0.2, 0.1, -0.1], [1, 1, 0, -1], (10, 50, 20 * 2.5**0.5)),
        ([0.3, 0.2, 0.2, 0.1], [1, 1, 1, 1], (50, None, None)),
        ([-0.3, -0.2, -0.2, -0.1], [-1, -1, -1, -1], (None, 5, None)),
        ([0.3, 0.0, 0.2, 0.1], [1, 0, 1, 1], (5, None, None)),
        ([0.1, -0.1, 0.1, -0.1], [0, 0, 0, -1], (None, 50, None)),
        ([0.1, -0.2, -0.2, -0.1], [0, -1, 0, -1], (None, 50, 5 * 2 ** (1 / 3))),
    ],
)
def test_what_encloses_it(gains: list[float], signs: list[int], expected: tuple[int | None, int | None, float | None]) -> None:
    found = crossing_within((5, 10, 20, 50), gains, signs)
    assert (found.low, found.high) == expected[:2]
    assert found.value == (None if expected[2] is None else pytest.approx(expected[2]))


def test_beyond_the_data_it_ends_at_the_horizon() -> None:
    world = Worlds(3, 3, 4)
    ours, _ = world.observed()
    law = extrapolate(LABELS, ours, UNITS, [0.0] * len(LABELS))
    hopeless = extrapolate(LABELS, ours & (world.chance.random(ours.shape) < 0.3), UNITS, [0.0] * len(LABELS))
    assert law is not None
    assert hopeless is not None
    found = crossing_beyond(law, hopeless, LABELS[-1])
    assert (found.value, found.low, found.high, found.horizon) == (None, None, None, HORIZON * LABELS[-1])
