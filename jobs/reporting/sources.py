"""What the report reads: the artifacts of a study by run and step, opened once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.context import Context
from jobs.data.overlaps import OVERLAP_FILE
from jobs.statistics.chance import AboveChance, above_chance
from tlbatch.contracts.reports import AskedRun, ReportParams
from tlbatch.roles import TOGETHER, is_source, overlap_input
from tlbatch.store.artifacts import Artifact

CURVE, EPISODES = "curve", "episodes"


@dataclass(frozen=True)
class Score:
    """A metric's value with its 95 % interval and, over several seeds, their standard deviation, where known."""

    value: float
    low: float | None = None
    high: float | None = None
    sd: float | None = None


@dataclass(frozen=True)
class RunSource:
    """One run as it was asked for and what its tasks left.

    ``finetune`` is keyed by (seed, fold or None). Runs with no training of their own (zero labels) have none. ``together``:
    likewise, the trainings of several tasks that the models come from.
    """

    asked: AskedRun
    evaluate: Artifact
    finetune: dict[tuple[int, int | None], Artifact] = field(default_factory=dict)
    extract: Artifact | None = None
    together: dict[tuple[int, int | None], Artifact] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.asked.name

    @property
    def role(self) -> str:
        """``run``, ``control`` or ``zero_label``."""
        return self.asked.role

    @property
    def seeds(self) -> list[int]:
        """The seeds that were evaluated, in order; a run without training has one, called 0."""
        return sorted(int(seed) for seed in self.predictions["probabilities"])

    @cached_property
    def deterministic(self) -> bool:
        """Whether several seeds gave the very same model: one that says the same of every test image, to the last digit."""
        first, *others = self.predictions["probabilities"].values()
        return bool(others) and all(other == first for other in others)

    @property
    def has_no_spread(self) -> bool:
        """Whether there can be but one model of it: seeds change nothing, or it is not trained."""
        return self.deterministic or self.role == "zero_label"

    @property
    def independent_seeds(self) -> list[int]:
        """The seeds that count: all of them, or the first where every seed gave the same model."""
        return self.seeds[:1] if self.deterministic else self.seeds

    @cached_property
    def metrics(self) -> dict[str, Any]:
        return dict(self.evaluate.read_json("metrics.json"))

    @cached_property
    def predictions(self) -> dict[str, Any]:
        return dict(self.evaluate.read_json("predictions.json"))

    @cached_property
    def card(self) -> dict[str, Any]:
        """The card of the first trained model, or {}."""
        return dict(self.first_model.read_json("card.json")) if self.first_model else {}

    @property
    def first_model(self) -> Artifact | None:
        return self.finetune[min(self.finetune, key=_order)] if self.finetune else None

    def score(self, metric: str) -> Score | None:
        """A test metric of the run: the mean over its seeds where it has several. None where it was not computed."""
        one = self.metrics.get("seeds", {}).get(str(self.seeds[0]), {}).get(metric)
        mean = self.metrics.get("mean", {}).get(metric)
        several = len(self.independent_seeds) > 1
        found = mean if several and mean else one or mean
        if isinstance(found, int | float):
            found = {"value": found}
        if not found or found.get("value") is None:
            return None
        return Score(found["value"], found.get("low"), found.get("high"), found.get("sd") if several else None)

    @cached_property
    def histories(self) -> dict[tuple[int, int | None], dict[str, Any]]:
        """``history.json`` of every trained model that has one with epochs (a logistic regression has none)."""
        found = {}
        for place, artifact in sorted(self.finetune.items(), key=lambda item: _order(item[0])):
            history = artifact.read_json("history.json") if "history.json" in artifact else {}
            if history.get("epochs"):
                found[place] = history
        return found

    def probabilities(self, seed: int) -> NDArray[np.float64]:
        """[n, classes] of one seed, rows as ``predictions["ids"]``."""
        return np.asarray(self.predictions["probabilities"][str(seed)], dtype=np.float64)

    @property
    def groups(self) -> list[str]:
        """[n] the unit of each test image (copies of a picture and images of a group are one), rows as ``labels``."""
        return [str(group) for group in self.predictions.get("groups") or self.predictions["ids"]]

    @cached_property
    def units(self) -> int:
        """How many units the test images form."""
        return len(set(self.groups))

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """[n] class indices of the test images, rows as ``predictions["ids"]``."""
        return np.asarray(self.predictions["labels"], dtype=np.int64)

    @cached_property
    def above_chance(self) -> AboveChance:
        """Whether it is shown to be better than naming the commonest class of the test images."""
        predicted = np.stack([self.probabilities(seed).argmax(axis=1) for seed in self.seeds])
        return above_chance(predicted, self.labels, self.groups)


@dataclass(frozen=True)
class Sources:
    """All that a report is made of."""

    params: ReportParams
    dataset: Artifact
    runs: tuple[RunSource, ...]
    artifacts: dict[str, Artifact]  #: every input by role, for lineage and times

    @property
    def classes(self) -> list[str]:
        return list(self.params.classes)

    @property
    def tasks(self) -> list[str]:
        """Names of several tasks, the main one first; empty where there is one."""
        return [task.name for task in self.params.tasks]

    def of_task(self, name: str) -> Sources:
        """What there is to say of one of several tasks: its classes, and the runs that are judged on it."""
        classes = next(task.classes for task in self.params.tasks if task.name == name)
        params = self.params.model_copy(update={"task": name, "classes": classes})
        return replace(self, params=params, runs=tuple(run for run in self.runs if run.asked.task == name))

    def run(self, name: str) -> RunSource | None:
        return next((run for run in self.runs if run.name == name), None)

    @property
    def kind(self) -> str | None:
        """Of the data; None: pictures."""
        return self.card.get("kind")

    @property
    def redrawn(self) -> bool:
        """Whether every seed learnt from other training images (``repeat.redraw: train``)."""
        return any(run.card.get("redraw") is not None for run in self.runs)

    @property
    def asked_for(self) -> list[RunSource]:
        """The study's own runs, without what they are held against."""
        return [run for run in self.runs if run.role == "run"]

    @property
    def zero_label(self) -> RunSource | None:
        """The strongest of the rows that used no labels, or None. There is one a backbone; more is a harder bar.

        Rows that know classes by their descriptions alone are told apart: some hide outputs that the network has.
        """
        rows = [run for run in self.runs if run.role == "zero_label" and not run.asked.unseen]
        return max(rows, key=lambda run: float((run.probabilities(run.seeds[0]).argmax(1) == run.labels).mean()), default=None)

    @cached_property
    def curve(self) -> dict[str, Any] | None:
        """``curve.json`` (jobs.curve); None where the study asked for none."""
        artifact = self.artifacts.get(CURVE)
        return None if artifact is None else dict(artifact.read_json("curve.json"))

    @cached_property
    def episodes(self) -> dict[str, Any] | None:
        """``episodes.json`` (jobs.episodes); None where the study asked for none."""
        artifact = self.artifacts.get(EPISODES)
        return None if artifact is None else dict(artifact.read_json("episodes.json"))

    @cached_property
    def card(self) -> dict[str, Any]:
        """The dataset's card."""
        return dict(self.dataset.read_json("card.json"))

    @cached_property
    def learnt_from(self) -> dict[str, dict[str, Any]]:
        """Of each of the study's sources, by name: {images, classes: {class: images}, bad: files that cannot be used}.

        And ``shared``, where that was looked for: pictures that are, or are near copies of, pictures of the target.
        """
        found = {}
        for role, artifact in self.artifacts.items():
            if is_source(role):
                card = artifact.read_json("card.json")
                counts = dict(card.get("counts") or {})
                facts = {"images": sum(counts.values()), "classes": counts, "bad": int(card.get("bad") or 0)}
                name = role.partition(":")[2]
                if (overlap := self.artifacts.get(overlap_input(name))) is not None:
                    facts["shared"] = sum(len(group["source"]) for group in overlap.read_json(OVERLAP_FILE)["groups"])
                found[name] = facts
        return found


def load_sources(context: Context) -> Sources:
    """Open all inputs of a report task. Raises CorruptArtifactError where one is gone."""
    return sources_of(context.read_params(ReportParams), {role: context.input(role) for role in context.roles()})


def sources_of(params: ReportParams, artifacts: dict[str, Artifact]) -> Sources:
    """The sources of a report task with these parameters and inputs."""
    described = [asked.model_copy(update={"from_": _earlier_model(params, asked.name)}) for asked in params.runs]
    runs = [_run_source(asked, artifacts) for asked in described if f"evaluate:{asked.name}" in artifacts]
    return Sources(params, artifacts["dataset"], tuple(runs), artifacts)


def _earlier_model(params: ReportParams, name: str) -> str | None:
    """``<study>/<run>`` where the run's backbone is a model of an earlier study."""
    for run in params.document.get("runs", []):
        backbone = run.get("model", {}).get("backbone") if run.get("name") == name else None
        if isinstance(backbone, Mapping):
            return str(backbone.get("from"))
    return None


def _run_source(asked: AskedRun, artifacts: Mapping[str, Artifact]) -> RunSource:
    name = asked.name
    trained: dict[str, dict[tuple[int, int | None], Artifact]] = {"finetune": {}, TOGETHER: {}}
    for role, artifact in artifacts.items():
        step, _, rest = role.partition(":")
        run, _, place = rest.partition(":")
        if step in trained and run == name:
            seed, _, fold = place.partition(":")
            trained[step][int(seed or 0), int(fold) if fold else None] = artifact
    evaluate, extract = artifacts[f"evaluate:{name}"], artifacts.get(f"extract:{name}")
    return RunSource(asked, evaluate, trained["finetune"], extract, trained[TOGETHER])


def _order(place: tuple[int, int | None]) -> tuple[int, int]:
    seed, fold = place
    return seed, -1 if fold is None else fold
