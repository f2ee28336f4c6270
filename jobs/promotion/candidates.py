"""Who challenges: the run, and of it the seed, that is best on the pinned validation images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jobs.context import Context
from jobs.metrics.calibration import softmax
from jobs.metrics.registry import metrics
from jobs.statistics.predictions import Predictions
from tlbatch.contracts.evaluation import DecideParams
from tlbatch.store.artifacts import Artifact
from tlbatch.tasks import InputRef


@dataclass(frozen=True)
class Candidate:
    """A run with one seed. ``models``: role ``model:<seed>[:<fold>]`` to its artifact; ``validation``: {metric: value, n}."""

    run: str
    seed: int
    models: Mapping[str, InputRef] = field(default_factory=dict)
    validation: Mapping[str, float] | None = None
    elsewhere: bool = False  #: validated on what a source holds out

    def order(self, metric: str) -> tuple[float, float, float]:
        """Sorts the best first: by the metric, then by log loss. Then what was validated on images of a source, which says
        nothing beside the target's; last what was never validated."""
        return float(self.elsewhere), *self._order(metric)

    def _order(self, metric: str) -> tuple[float, float]:
        if self.validation is None:
            return math.inf, math.inf
        value = self.validation[metric]
        return (-value if metrics()[metric].higher_is_better else value), self.validation["log_loss"]

    @property
    def label(self) -> str:
        return f"{self.run} (seed {self.seed})"


def candidates_of(context: Context, metric: str, task: str | None = None) -> list[Candidate]:
    """Every seed of every run of the study, in its order; of several tasks the models of one."""
    found = []
    for run in context.read_params(DecideParams).runs:
        prefix = f"finetune:{line_of(run, task)}:"
        seeds: dict[int, dict[str, str]] = {}
        for role in context.roles(prefix):
            part = role.removeprefix(prefix)
            seeds.setdefault(int(part.partition(":")[0]), {})[f"model:{part}"] = role
        for seed, roles in sorted(seeds.items()):
            refs = {name: context.task.inputs[role] for name, role in roles.items()}
            models = [context.input(role) for role in roles.values()]
            elsewhere = any(model.read_json("validation.json").get("of") for model in models)
            found.append(Candidate(run, seed, refs, _validation(models, metric), elsewhere))
    return found


def line_of(run: str, task: str | None) -> str:
    """What the results of a run are called, of several tasks those of one (tlbatch.planning.runs)."""
    return run if task is None else f"{run}-{task}"


def choose(candidates: Sequence[Candidate], metric: str) -> Candidate:
    """``choose_by`` one metric."""
    return choose_by(candidates, lambda candidate: candidate.order(metric))


def choose_by(candidates: Sequence[Candidate], order: Callable[[Candidate], tuple[float, ...]]) -> Candidate:
    """The best run by the mean over its seeds, then its best seed; the first in the study's order of equals.

    ``order`` sorts the best first.
    """
    runs: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        runs.setdefault(candidate.run, []).append(candidate)

    def standing(run: str) -> tuple[float, ...]:
        return tuple(float(np.mean(values)) for values in zip(*map(order, runs[run]), strict=True))

    return min(runs[min(runs, key=standing)], key=order)


def mean_order(tasks: Sequence[tuple[str, Sequence[Candidate]]]) -> Callable[[Candidate], tuple[float, ...]]:
    """Of models of several tasks, by the mean over these. ``tasks``: of each its metric and its candidates."""
    placed = [{(each.run, each.seed): each.order(metric) for each in candidates} for metric, candidates in tasks]

    def order(candidate: Candidate) -> tuple[float, ...]:
        each = [places[candidate.run, candidate.seed] for places in placed]
        return tuple(float(np.mean(values)) for values in zip(*each, strict=True))

    return order


def _validation(models: Sequence[Artifact], metric: str) -> dict[str, float] | None:
    """Of one seed's models on the images they did not train on: of all folds together. None where there are none."""
    documents: list[dict[str, Any]] = [model.read_json("validation.json") for model in models]
    labels = np.concatenate([np.array(document["labels"], dtype=np.int64) for document in documents])
    if not len(labels):
        return None
    logits = np.concatenate([np.array(document["logits"], dtype=np.float64) for document in documents if document["labels"]])
    once = Predictions(labels, softmax(logits), np.arange(len(labels))).ones()
    names = dict.fromkeys([metric, "accuracy", "log_loss"])
    return {**{name: float(metrics()[name].function(once)[0]) for name in names}, "n": len(labels)}
