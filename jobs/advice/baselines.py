"""Every score beside the two that cost nothing: accuracy on ImageNet as published, and the number of parameters. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.advice.choice import Contender
from jobs.statistics.ranks import weighted_tau

FOR_TAU = 8  #: candidates from which on a rank correlation is given
TOP1, LARGEST = "top1", "largest"
TITLES = {
    "probe": "linear probe",
    "knn": "k-NN",
    "logme": "LogME",
    "h_score": "H-score",
    "leep": "LEEP",
    "nce": "NCE",
    TOP1: "ImageNet top-1",
    LARGEST: "the largest",
}
SCORES: dict[str, Callable[[Contender], float | None]] = {
    "probe": lambda each: each.accuracy,
    "knn": lambda each: each.layer.knn.value,
    "logme": lambda each: each.layer.logme,
    "h_score": lambda each: each.layer.h_score,
    "leep": lambda each: each.judged.leep,
    "nce": lambda each: each.judged.nce,
    TOP1: lambda each: each.judged.asked.top1,
    LARGEST: lambda each: each.judged.asked.parameters,
}


@dataclass(frozen=True)
class Ranking:
    """What a score would pick, and what that is worth by ``truth`` (fractions).

    ``known``: of how many of ``candidates`` it knows; ``below``: the best of the candidates minus its pick; ``tau`` from
    FOR_TAU candidates on; ``beats_top1``: None of top-1 itself, and where one of the two does not know all candidates.
    """

    score: str
    known: int
    candidates: int
    pick: str | None
    below: float | None
    tau: float | None
    beats_top1: bool | None = None

    @property
    def title(self) -> str:
        return TITLES[self.score]


def rankings(contenders: Sequence[Contender], truth: dict[str, float]) -> list[Ranking]:
    """Each score by ``truth`` (candidate -> accuracy): the linear probe's while nothing else is known, outcomes later.

    A score that does not know every candidate picks among those that it knows.
    """
    values = {name: {each.name: score(each) for each in contenders} for name, score in SCORES.items()}
    return rank_scores(values, truth)


def stored_values(candidates: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Score -> candidate -> value, from the candidates of an ``advice.json``."""
    found: dict[str, dict[str, float | None]] = {name: {} for name in SCORES}
    for each in candidates:
        layer = next(layer for layer in each["layers"] if layer["name"] == each["judged_layer"])
        own = {"probe": layer["probe"]["value"], "knn": layer["knn"]["value"], LARGEST: each["parameters"]}
        own |= {name: layer[name] for name in ("logme", "h_score")} | {name: each[name] for name in ("leep", "nce", TOP1)}
        for name, value in own.items():
            found[name][each["name"]] = value
    return found


def rank_scores(values: dict[str, dict[str, float | None]], truth: dict[str, float]) -> list[Ranking]:
    """``values``: score -> candidate -> value; candidates without a truth are left out."""
    found = {name: _ranking(name, given, truth) for name, given in values.items()}
    top1 = found[TOP1]
    return [_against(each, top1) for each in found.values()]


def _ranking(score: str, values: dict[str, float | None], truth: dict[str, float]) -> Ranking:
    known = {name: value for name in truth if (value := values.get(name)) is not None}
    if not known:
        return Ranking(score, 0, len(truth), None, None, None)
    pick = max(known, key=lambda name: known[name])
    tau = weighted_tau([known[n] for n in truth], list(truth.values())) if len(known) == len(truth) >= FOR_TAU else None
    return Ranking(score, len(known), len(truth), pick, max(truth.values()) - truth[pick], tau)


def _against(ranking: Ranking, top1: Ranking) -> Ranking:
    both = ranking.known == top1.known == ranking.candidates
    if ranking.score == TOP1 or not both or ranking.below is None or top1.below is None:
        return ranking
    better = ranking.tau > top1.tau if ranking.tau is not None and top1.tau is not None else ranking.below < top1.below
    return replace(ranking, beats_top1=better)
