"""One set of test images asked again and again: what challengers score on it, how lucky a winner is, whether they fall. Pure.

Every challenger is tested on the same images, and the champion is one that did well there: so its score says how good it is
and how lucky. What *all* challengers score, won or lost, was chosen by nobody: their level tells what an equal of theirs
scores on these images, the more surely the more there were. Two things follow from it (Efron 2011, "Tweedie's formula and
selection bias", has the general form of the first; Montgomery 2012, ch. 6, that of the second, a chart of individuals):

- the champion's *luck*, its score above the level as far as chance reaches, which a challenger need not beat and which is
  taken off its printed number;
- a *fall*: the mean of the last challengers, though given a standard error, lies below the best lower bound that the level
  ever had. A bound only rises, so that many small losses add up to one that is seen, however small each is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, fsum, pow, sqrt
from statistics import NormalDist
from typing import Any

WINDOW = 20  #: challengers that make the level
LUCKIEST = 0.95
"""Nobody is called luckier than the luckiest of so many equals is, in this share of cases."""
LATE = 7  #: challengers, tonight's among them, of which a fall is told
ENOUGH = 10  #: scores from which their own scatter is known
PER_RANGE = 1.128  #: mean range of two normal values, in standard deviations
FULL_LEVEL = 40  #: classes of which each is tested at the whole level
FLOOR_SE, LATE_SE = 1.5, 0.5  #: standard errors given to the level and to the last challengers
DOUBT = 1.8  #: times the noise that equals' own scatter of WINDOW scores seldom shows: what lies above is real difference
SUNK_SE = 3.0  #: standard errors below the floor, where a level is no longer that of the champion's equals


@dataclass(frozen=True)
class Level:
    """``scores`` of the last WINDOW challengers, the newest last, turned so that more is better, of ``count`` in all.

    ``floor``: the highest that mean - FLOOR_SE standard errors ever was.
    """

    scores: tuple[float, ...]
    count: int
    floor: float

    @staticmethod
    def start(score: float, error: float) -> Level:
        """From a first score that nobody chose, and the standard error of one model's score on these images."""
        return Level((score,), 1, score - FLOOR_SE * error)

    def then(self, score: float, error: float) -> Level:
        """With one more challenger."""
        scores = (*self.scores, score)[-WINDOW:]
        bound = mean(scores) - FLOOR_SE * scatter(scores, error) / len(scores) ** 0.5
        return Level(scores, self.count + 1, max(self.floor, bound))

    def expected(self, champion: float, noise: float) -> float:
        """What a model with this score here would score on other such images. ``noise``: SD of equals' scores on these.

        That of an equal, the level; as far as challengers' scores differ by more than noise, its own score counts as well
        (empirical Bayes: Efron 2011). No more is put down to luck than the best of ``count`` equals has (LUCKIEST of the
        time; to bad luck, no more than one of them has), and a level that has sunk far below ``floor`` does not count. Of
        equals this is unbiased within half a point, however often they were chosen from (test_operating).
        """
        level = mean(self.scores)
        if len(self.scores) >= ENOUGH:
            level += max(0.0, 1 - DOUBT * (noise / (own_scatter(self.scores) or noise)) ** 2) * (champion - level)
        lucky, unlucky = (NormalDist().inv_cdf(pow(LUCKIEST, 1 / count)) * noise for count in (self.count, 1))
        sunk = self.floor - SUNK_SE * noise / sqrt(len(self.scores))
        return min(max(level, sunk, champion - lucky), champion + unlucky)

    def luck(self, champion: float, noise: float) -> float:
        """How much of a chosen score is put down to its having been chosen; 0 where it does not lie above the level."""
        return max(0.0, champion - self.expected(champion, noise))

    def late(self, score: float) -> float:
        """Mean of the last LATE challengers, this one included."""
        return mean((*self.scores, score)[-LATE:])

    def has_fallen(self, score: float, error: float) -> bool:
        """Whether the last challengers, this one included, are shown to be below the best level there was."""
        last = (*self.scores, score)[-LATE:]
        return bool(self.late(score) + LATE_SE * scatter(self.scores, error) / len(last) ** 0.5 < self.floor)

    def to_json(self) -> dict[str, Any]:
        return {"scores": list(self.scores), "count": self.count, "floor": self.floor}

    @staticmethod
    def from_json(document: Mapping[str, Any] | None) -> Level | None:
        """None for none."""
        if not document:
            return None
        return Level(tuple(float(x) for x in document["scores"]), int(document["count"]), float(document["floor"]))


def scatter(scores: Sequence[float], error: float) -> float:
    """Standard deviation of equals' scores: from one to the next, which no slow trend widens, and at most ``error``."""
    if len(scores) < ENOUGH:
        return error
    return min(error, own_scatter(scores))


def own_scatter(scores: Sequence[float]) -> float:
    """The same, however large it is."""
    return mean([abs(b - a) for a, b in pairwise(scores)]) / PER_RANGE


def mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)


def class_level(alpha: float, classes: int) -> float:
    """Level of one class's test of harm: ``alpha``, with more than forty classes 40 alpha / ``classes``.

    Not Holm's alpha / classes: a class that is harmed unseen costs more than a night on which an equal is refused. So any
    class's test keeps its power up to forty classes; equals are refused the more often for it the more classes there are.
    """
    return min(alpha, FULL_LEVEL * alpha / max(classes, 1))


def bound_level(alpha: float, classes: int, bounded: int) -> float:
    """Level of the test of a class that lost more than its bound: twice ``alpha``, with more than ten of ``bounded`` classes
    20 alpha / ``bounded``; never below that of any class."""
    return max(class_level(alpha, classes), min(2 * alpha, 20 * alpha / max(bounded, 1)))


def images_needed(gain: float, discordance: float) -> int:
    """Images on which a one-sided paired test at 5 % shows a true ``gain`` four times in five (Connor 1987)."""
    share = max(discordance, gain)
    return ceil((1.645 * sqrt(share) + 0.842 * sqrt(max(share - gain**2, 0.0))) ** 2 / gain**2)
