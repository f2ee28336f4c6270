"""A study's runs with everything resolved: model, weights, preprocessing, precision; and which are compared with which."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from tlbatch import nouns
from tlbatch.backbones import names as known
from tlbatch.kinds import DEFAULT_KIND, Kind, kind_field, kind_of
from tlbatch.kinds.image import Augmentation
from tlbatch.planning.weights import ResolvedWeights
from tlbatch.spec import Run, Study
from tlbatch.spec.added import added_name, added_to_model, name_and_settings, resolved
from tlbatch.spec.model import FromRun
from tlbatch.spec.train import Train
from tlbatch.strategies import Strategy, settings_of, strategy_of
from tlbatch.strategies.finetune import HEAD

WeightsFor = Callable[[Run], ResolvedWeights]


@dataclass(frozen=True)
class ResolvedRun:
    """One line of the report: a run, or a control (``control_for`` names the runs it is held against).

    Of a study of several tasks a line is of one ``task``; ``tasks``: those that its network learnt together with it (itself
    among them), none of a single-task twin.
    """

    name: str
    model: dict[str, Any]
    strategy: str | dict[str, Any]
    input: dict[str, Any]
    own_input: dict[str, Any]
    train: Train
    precision: str
    augmentation: dict[str, Any] | None = None
    views: int = 0
    weights: ResolvedWeights | None = None
    control: str = "none"
    control_for: tuple[str, ...] = ()
    task: str | None = None
    tasks: tuple[str, ...] = ()

    @property
    def together(self) -> str:
        """The name of the training that its task is learnt in together with others: the run's in the study."""
        return self.name.removesuffix(f"-{self.task}")

    @property
    def names(self) -> tuple[str, ...]:
        """Runs that its tasks belong to, and so have the resources of: a single-task twin serves those that it is a twin of."""
        return (self.name, *self.control_for) if self.task is not None and not self.tasks else (self.name,)

    @property
    def pretrained(self) -> bool:
        return self.weights is not None and self.weights.params["kind"] != "random"

    @property
    def scratch(self) -> bool:
        """Whether it learns from the study's own labels alone, and trains all of its network."""
        return not self.control_for and not self.pretrained and not self.strategy_entry.reads_sources

    @property
    def content(self) -> str:
        """All that it is but its name and what it is for: equal ones are one run."""
        parts = [self.model, self.strategy, self.input, plain(self.train), self.augmentation, self.views, self.precision]
        return json.dumps([*parts, self.task, self.tasks], sort_keys=True)

    @property
    def brings_controls(self) -> bool:
        """Whether it is held against controls of its own, and so against no other."""
        return bool(self.tasks) or self.strategy_entry.own_controls is not None

    @property
    def twin(self) -> ResolvedRun:
        """The same training of its task alone, on what has a label of it."""
        train = self.train.model_copy(update={"task_weights": "equal"})
        return replace(self, name=f"{self.task}-alone", tasks=(), train=train, control="none")

    @property
    def own_controls(self) -> list[tuple[ResolvedRun, bool]]:
        """Those that its strategy brings, and whether each is tested: the very run with another strategy, or task by task."""
        if self.tasks:
            return [(self.twin, True)]
        entry = self.strategy_entry
        if entry.own_controls is None or self.control_for:
            return []
        model = "scratch" if "scratch" in self.model else "backbone"
        own = entry.own_controls(settings_of(self.strategy), model)
        return [(replace(self, name=each.name, strategy=each.strategy, control="none"), each.tested) for each in own]

    @property
    def strategy_entry(self) -> Strategy:
        """The entry of its strategy."""
        return strategy_of(self.strategy)

    @property
    def kind(self) -> Kind:
        """Of its data."""
        return kind_of(self.input.get("kind"))

    @property
    def added(self) -> list[str]:
        """Names of what plug-ins add to it."""
        names = (self.strategy, self.input.get("kind"), self.augmentation)
        return [name for name in (*map(added_name, names), *added_to_model(self.model)) if name is not None]

    @property
    def added_to_features(self) -> list[str]:
        """Names of what plug-ins add to features that are extracted once."""
        kind, varied = added_name(self.input.get("kind")), added_name(self.augmentation) if self.views else None
        return [name for name in (kind, varied, *added_to_model({"backbone": self.model.get("backbone")})) if name is not None]

    @property
    def on_features(self) -> bool:
        return self.strategy_entry.on_features


def resolve_runs(study: Study, weights_for: WeightsFor, precision: str) -> list[ResolvedRun]:
    """The study's runs in order; of several tasks a line a task. ``precision`` is what auto means here (fp32 or bf16)."""
    found = [_resolve(study, run, weights_for, precision) for run in study.runs]
    tasks = study.dataset.tasks
    if not tasks:
        return found
    return [replace(run, name=f"{run.name}-{task}", task=task, tasks=tasks) for run in found for task in tasks]


def _resolve(study: Study, run: Run, weights_for: WeightsFor, precision: str) -> ResolvedRun:
    asked = run.precision or study.precision
    computed_in = precision if asked == "auto" else asked
    control = run.control or study.control
    weights = weights_for(run) if run.model.backbone is not None else None
    kind = kind_of(study.dataset.kind_name)
    own = weights.own_input if weights else kind.defaults
    return ResolvedRun(
        name=run.name,
        model=_model(run, weights),
        strategy=_strategy(run),
        input=_input(run, own, kind),
        own_input=dict(own),
        train=run.train,
        precision=computed_in,
        augmentation=_augmentation(study, run),
        views=run.views,
        weights=weights,
        control=control,
    )


def _model(run: Run, weights: ResolvedWeights | None) -> dict[str, Any]:
    if run.model.scratch is not None:
        return {"scratch": _chosen("networks", run.model.scratch)}
    assert weights is not None
    name = None if isinstance(run.model.backbone, FromRun) else run.model.backbone
    backbone = {"name": name, "weights": weights.params}
    used = [] if name is None else known.used_stages(name, None)
    layer = None if used and run.model.layer == used[-1] else run.model.layer  # the default by its name
    return {"backbone": backbone, "layer": layer, "pool": run.model.pool, "head": _chosen("heads", run.model.head)}


def _chosen(kind: str, part: BaseModel | str | dict[str, dict[str, Any]]) -> dict[str, Any]:
    """tlbatch's own as it is set, or ``{plugin:name: {all its settings}}``."""
    return plain(part) if isinstance(part, BaseModel) else resolved(kind, part)


def _strategy(run: Run) -> str | dict[str, Any]:
    """Stages once, in the network's order: in which they were written changes nothing."""
    settings = run.strategy_settings
    if settings is None:
        return run.strategy_entry.name
    written, stages = plain(settings), known.stage_names(run.model.backbone) if isinstance(run.model.backbone, str) else []
    if isinstance(named := written.get("unfreeze"), list) and {*named} <= {*stages, HEAD}:
        written["unfreeze"] = [stage for stage in (*stages, HEAD) if stage in named]
    return {run.strategy_entry.name: written}


def _input(run: Run, own: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """How its items are fed, with the name of their kind where these are no pictures."""
    if not isinstance(run.input, dict):
        return {**(kind.resolve(run.input, own) if kind.name == DEFAULT_KIND else dict(own)), **kind_field(kind.name)}
    _, given = name_and_settings(run.input)
    assert kind.input is not None  # check_kind
    return {**kind.resolve(kind.input.of(given), own), **kind_field(kind.name)}


def _augmentation(study: Study, run: Run) -> dict[str, Any] | None:
    """Settings of tlbatch's own changes, or ``{plugin:name: {…}}``."""
    asked = run.augmentation
    if asked is None or isinstance(asked, Augmentation):
        return None if asked is None else plain(asked)
    if added_name(asked) is not None:
        return resolved("augmentations", asked)
    assert isinstance(asked, str)
    return plain(study.augmentations[asked])


def plain(part: BaseModel) -> dict[str, Any]:
    """A part of a study as JSON values."""
    values: dict[str, Any] = part.model_dump(mode="json")
    return values


def contrasts(runs: list[ResolvedRun], controls: list[ResolvedRun]) -> list[dict[str, Any]]:
    """The comparisons planned before any result is seen (design §8.6).

    Each run against the one before it (``kind: previous``, ``b`` named), and each pretrained run against its control
    (``kind: control``): of the ``candidates`` (its own control, the hand-crafted features, the scratch runs) the best on
    validation, so that there is one comparison however many candidates there are. A run whose strategy brings controls of its
    own (``kind: adaptation``; of several tasks its single-task twins, ``kind: tasks``) is held against those of them that are
    tested, and against nothing else.
    """
    planned: list[dict[str, Any]] = []
    for task in dict.fromkeys(run.task for run in runs):
        of_it = pairwise(run for run in runs if run.task == task)
        planned += [{"a": run.name, "b": before.name, "kind": "previous"} for before, run in of_it]
    scratch = [run.name for run in runs if run.scratch]
    for run in runs:
        if run.brings_controls:
            planned += _adaptations(run, [*runs, *controls])
            continue
        own = [control.name for control in controls if run.name in control.control_for]
        candidates = [*own, *scratch]
        if run.pretrained and candidates:
            planned.append({"a": run.name, "kind": "control", "candidates": candidates})
    return planned


def _adaptations(run: ResolvedRun, others: list[ResolvedRun]) -> list[dict[str, Any]]:
    found = []
    for control, tested in run.own_controls:
        other = next((each for each in others if each.content == control.content), None)
        if tested and other is not None and other is not run:
            found.append({"a": run.name, "b": other.name, "kind": "tasks" if run.tasks else "adaptation"})
    return found


def seen_in_pretraining(classes: Mapping[str, Any] | list[str], covered: bool, trained_on: str) -> dict[str, str]:
    """Whether test images may have been seen in pretraining, at three levels (design §8.7)."""
    import re

    if not trained_on:
        return {"level": "unknown", "why": f"nothing is known about the {nouns.items()} the weights were trained on"}
    names = list(classes)
    if trained_on.startswith("ImageNet") and names and all(re.search(r"n\d{8}", name) for name in names):
        return {
            "level": "same images",
            "why": f"the classes carry WordNet numbers: these are {nouns.items()} of {trained_on} itself",
        }
    if not trained_on.startswith("ImageNet"):
        return {
            "level": "unknown",
            "why": f"{nouns.items()} that {trained_on} learned from may be among these: they were not compared",
        }
    if covered:
        return {"level": "same classes", "why": f"{trained_on} has these classes, and may have these very {nouns.items()}"}
    return {
        "level": "unknown",
        "why": f"{trained_on} does not cover these classes; its {nouns.items()} may still be among these",
    }
