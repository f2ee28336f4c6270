"""One set of test images asked again and again: what challengers score on it, how lucky a winner is, whether they fall. Pure.

Every challenger is tested on the same images, and the champion is one that did well there: so its score says how good it is
and how lucky. What *all* challengers score, won or lost, was chosen by nobody: their level tells what an equal of theirs
scores on these images, the more surely the more there were. Two things follow from it (Efron 2011, "Tweedie's formula and
selection bias", has the general form of the first; Montgomery 2012, ch. 6, that of the second, a chart of individuals):

- the champion's *luck*, its score above the level, which a challenger need not beat;
- a *fall*: the mean of the last challengers, though given a standard error, lies below the best lower bound that the level
  ever had. A bound only rises, so that many small losses add up to one that is seen, however small each is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WINDOW = 20  #: challengers that make the level
LATE = 7  #: challengers, tonight's among them, of which a fall is told
ENOUGH = 10  #: scores from which their own scatter is known
PER_RANGE = 1.128  #: mean range of two normal values, in standard deviations
FLOOR_SE, LATE_SE = 1.5, 0.5  #: standard errors given to the level and to the last challengers


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
        bound = float(np.mean(scores)) - FLOOR_SE * scatter(scores, error) / len(scores) ** 0.5
        return Level(scores, self.count + 1, max(self.floor, bound))

    @property
    def reference(self) -> float:
        """What an equal is expected to score."""
        return max(float(np.mean(self.scores)), self.floor)

    def luck(self, champion: float) -> float:
        """How far a chosen score lies above the level; 0 where it does not."""
        return max(0.0, champion - self.reference)

    def late(self, score: float) -> float:
        """Mean of the last LATE challengers, this one included."""
        return float(np.mean((*self.scores, score)[-LATE:]))

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
    return min(error, float(np.mean(np.abs(np.diff(scores)))) / PER_RANGE)


def class_level(alpha: float, classes: int) -> float:
    """Level of one class's test of harm: ``alpha``, with more than ten classes 10 alpha / ``classes``.

    Not Holm's alpha / classes: a class that is harmed unseen costs more than a night on which an equal is refused. So any
    class's test keeps its power up to ten classes, and equals are refused on at most 10 alpha of the nights with however many.
    """
    return min(alpha, 10 * alpha / max(classes, 1))


def images_needed(gain: float, discordance: float) -> int:
    """Images on which a one-sided paired test at 5 % shows a true ``gain`` four times in five (Connor 1987)."""
    share = max(discordance, gain)
    return int(np.ceil((1.645 * share**0.5 + 0.842 * max(share - gain**2, 0.0) ** 0.5) ** 2 / gain**2))
