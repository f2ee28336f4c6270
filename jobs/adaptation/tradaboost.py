"""TrAdaBoost: source items that the target's labels contradict lose weight, round by round. Pure.

Dai, Yang, Xue and Yu (2007), "Boosting for transfer learning", for two classes. For K classes the vote of a round is SAMME's
(Zhu, Zou, Rosset and Hastie 2009), log((1 - ε) / ε) + log(K - 1): with K = 2 the paper's, and better than chance, ε < 1 - 1/K,
is enough. What the paper leaves open: all weights are alike at first; ε is at least half an item of the target, so that a round
without a mistake has a vote that is a number; at most it is chance, where the vote is 0 and only the sources' weights change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log, sqrt
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Hypothesis = TypeVar("Hypothesis")
Learn = Callable[[Floats], tuple[Hypothesis, NDArray[np.bool_]]]


@dataclass(frozen=True)
class Round:
    """``error``: weighted, of the target's items, as it was; ``source_share``: of all weight that it learnt from."""

    error: float
    vote: float
    source_share: float


@dataclass(frozen=True)
class Boosted(Generic[Hypothesis]):
    """``hypotheses``: of the rounds that vote, the later half, and their ``votes`` [h].

    ``missed`` [n]: how many rounds before the last got each source item wrong; its weight in the last one was ``beta`` to that
    power, the weight of all items at first being 1.
    """

    hypotheses: tuple[Hypothesis, ...]
    votes: Floats
    rounds: tuple[Round, ...]
    missed: NDArray[np.int64]
    beta: float

    @property
    def source_weights(self) -> Floats:
        return np.asarray(self.beta**self.missed)


def boost(learn: Learn[Hypothesis], n_source: int, n_target: int, n_classes: int, rounds: int) -> Boosted[Hypothesis]:
    """``learn(weights)``: a hypothesis, and which items it gets right; ``weights`` [n_source + n_target], sources first.

    The final hypothesis is the vote of rounds ⌈N/2⌉ to N, as the paper has it; where none is above chance, they vote alike.
    """
    beta = 1 / (1 + sqrt(2 * log(n_source) / rounds))
    missed, target = np.zeros(n_source, dtype=np.int64), np.ones(n_target)
    made: list[tuple[Hypothesis, Round]] = []
    for number in range(rounds):
        weights = np.concatenate([beta**missed, target])
        weights /= weights.mean()
        hypothesis, right = learn(weights)
        wrong = ~right[n_source:]
        error = float(target[wrong].sum() / target.sum())
        vote = vote_of(error, n_target, n_classes)
        made.append((hypothesis, Round(error, vote, float(weights[:n_source].sum() / weights.sum()))))
        if number < rounds - 1:
            missed += ~right[:n_source]
            target = target * np.exp(vote * wrong)
    late = made[ceil(rounds / 2) - 1 :]
    votes = np.array([each.vote for _, each in late])
    votes = votes if votes.sum() > 0 else np.ones(len(late))
    return Boosted(tuple(each for each, _ in late), votes, tuple(each for _, each in made), missed, beta)


def vote_of(error: float, n_target: int, n_classes: int) -> float:
    """log(1 / β_t) of the paper, SAMME's for more classes than two; 0 at chance and below it."""
    bounded = float(np.clip(error, 0.5 / n_target, 1 - 1 / n_classes))
    return max(0.0, log((1 - bounded) / bounded) + log(n_classes - 1))


def as_json(boosted: Boosted[Any]) -> dict[str, Any]:
    """For ``adaptation.json``: the rounds, and what is left of the sources' weight."""
    rounds = [{"error": r.error, "vote": r.vote, "source_share": r.source_share} for r in boosted.rounds]
    return {
        "beta": round(boosted.beta, 6),
        "left": round(float(boosted.source_weights.mean()), 6),
        "rounds": [{name: round(value, 6) for name, value in each.items()} for each in rounds],
    }
