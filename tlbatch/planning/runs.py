"""A study's runs with everything settled: model, weights, preprocessing, precision; and the controls they are held against."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from tlbatch.backbones.preprocessing import SCRATCH_INPUT, resolve_input
from tlbatch.backbones.settled import SettledWeights
from tlbatch.spec import Run, Study
from tlbatch.spec.check import strategy_name
from tlbatch.spec.model import FinetuneStrategy, FromRun

PATIENT = {"patience": 10, "metric": "loss", "min_delta": 0.0}
PLATEAU: dict[str, Any] = {"epochs": 100, "early_stopping": PATIENT, "select": "best"}
"""How a full control is trained: until validation has not improved for ten epochs, a hundred epochs at most."""
HEAD_LR = 1e-3
"""The rate of a cheap control's head where the run's own is meant for fine-tuning."""


WeightsFor = Callable[[Run], SettledWeights]


@dataclass(frozen=True)
class SettledRun:
    """One line of the report: a run, or a control (``control_for`` names the runs it is held against)."""

    name: str
    model: dict[str, Any]
    strategy: str | dict[str, Any]
    input: dict[str, Any]
    own_input: dict[str, Any]
    train: dict[str, Any]
    precision: str
    augmentation: dict[str, Any] | None = None
    views: int = 0
    weights: SettledWeights | None = None
    control: str = "none"
    control_for: tuple[str, ...] = ()

    @property
    def pretrained(self) -> bool:
        return self.weights is not None and self.weights.params["kind"] != "random"

    @property
    def scratch(self) -> bool:
        """Whether it learns from the study's own labels alone, and trains all of its network."""
        return not self.control_for and not self.pretrained

    @property
    def on_features(self) -> bool:
        return self.strategy == "features"


def settle_runs(study: Study, weights_for: WeightsFor, precision: str) -> list[SettledRun]:
    """The study's runs in order. ``precision`` is what auto means here (fp32 or bf16)."""
    return [_settle(study, run, weights_for, precision) for run in study.runs]


def _settle(study: Study, run: Run, weights_for: WeightsFor, precision: str) -> SettledRun:
    asked = run.precision or study.precision
    settled = precision if asked == "auto" else asked
    control = run.control or study.control
    weights = weights_for(run) if run.model.backbone is not None else None
    own = weights.own_input if weights else SCRATCH_INPUT
    return SettledRun(
        name=run.name,
        model=_model(run, weights),
        strategy=_strategy(run),
        input=resolve_input(run.input, own),
        own_input=dict(own),
        train=plain(run.train),
        precision=settled,
        augmentation=_augmentation(study, run),
        views=run.views,
        weights=weights,
        control=control,
    )


def _model(run: Run, weights: SettledWeights | None) -> dict[str, Any]:
    if run.model.scratch is not None:
        return {"scratch": plain(run.model.scratch)}
    assert weights is not None
    name = None if isinstance(run.model.backbone, FromRun) else run.model.backbone
    backbone = {"name": name, "weights": weights.params}
    return {"backbone": backbone, "layer": run.model.layer, "pool": run.model.pool, "head": plain(run.model.head)}


def _strategy(run: Run) -> str | dict[str, Any]:
    if isinstance(run.strategy, FinetuneStrategy):
        return {"finetune": plain(run.strategy.finetune)}
    return strategy_name(run)


def _augmentation(study: Study, run: Run) -> dict[str, Any] | None:
    if run.augmentation is None:
        return None
    if isinstance(run.augmentation, str):
        return plain(study.augmentations[run.augmentation])
    return plain(run.augmentation)


def settle_controls(runs: list[SettledRun], validated: bool = True) -> list[SettledRun]:
    """The controls that pretrained runs ask for, equal ones once. ``validated``: whether there are images to choose by.

    ``cheap``: the same head on the features of the same architecture with random weights, frozen. ``full``: the same
    architecture, all of it trained from random weights until validation no longer improves. A model of an earlier
    study has no twin of its own here: it is held against the scratch runs of the study.
    """
    controls: dict[str, SettledRun] = {}
    for run in runs:
        if not run.pretrained or run.control == "none" or run.model["backbone"]["name"] is None:
            continue
        control = _control(run, validated)
        content = json.dumps([control.model, control.strategy, control.input, control.train], sort_keys=True)
        present = controls.get(content, control)
        controls[content] = replace(present, control_for=(*present.control_for, run.name))
    return list(controls.values())


def _control(run: SettledRun, validated: bool) -> SettledRun:
    random = SettledWeights({"kind": "random", "seed": 0}, own_input=run.own_input)
    model = {**run.model, "backbone": {**run.model["backbone"], "weights": random.params}}
    base = replace(run, name=f"{run.name}-random", model=model, weights=random, control="none", views=0)
    if run.control == "full":
        everything = {"finetune": {"unfreeze": "all", "warm_up": 0, "gradual": None, "lr_scale": {}, "lr_decay": 1.0}}
        everything["finetune"]["batch_norm"] = "train"  # random weights bring no statistics worth keeping
        head = {**run.model["head"], "logistic": None}
        train = {**run.train, "epochs": max(PLATEAU["epochs"], run.train["epochs"]), **(PLATEAU if validated else {})}
        return replace(base, model={**model, "head": head}, strategy=everything, train=train)
    train = run.train
    if not run.on_features and validated:  # a rate made for fine-tuning would leave a head on random features untrained
        train = {**run.train, **PLATEAU, "lr": HEAD_LR, "schedule": "constant", "warmup_epochs": 0.0}
    return replace(base, strategy="features", augmentation=None, train=train)


def plain(part: BaseModel) -> dict[str, Any]:
    """A part of a study as JSON values."""
    values: dict[str, Any] = part.model_dump(mode="json")
    return values


def contrasts(runs: list[SettledRun], controls: list[SettledRun]) -> list[dict[str, Any]]:
    """The comparisons planned before any result is seen (design §8.6).

    Each run against the one before it (``kind: previous``, ``b`` named), and each pretrained run against its control
    (``kind: control``): of the ``candidates`` (its own control, the scratch runs) the best on validation.
    """
    planned: list[dict[str, Any]] = [{"a": run.name, "b": before.name, "kind": "previous"} for before, run in pairwise(runs)]
    scratch = [run.name for run in runs if run.scratch]
    for run in runs:
        own = [control.name for control in controls if run.name in control.control_for]
        candidates = [*own, *scratch]
        if run.pretrained and candidates:
            planned.append({"a": run.name, "kind": "control", "candidates": candidates})
    return planned


def seen_in_pretraining(classes: Mapping[str, Any] | list[str], covered: bool, trained_on: str) -> dict[str, str]:
    """Whether test images may have been seen in pretraining, at three levels (design §8.7)."""
    import re

    if not trained_on:
        return {"level": "unknown", "why": "nothing is known about the images the weights were trained on"}
    names = list(classes)
    if trained_on.startswith("ImageNet") and names and all(re.search(r"n\d{8}", name) for name in names):
        return {"level": "same images", "why": f"the classes carry WordNet numbers: these are images of {trained_on} itself"}
    if not trained_on.startswith("ImageNet"):
        return {"level": "unknown", "why": f"images that {trained_on} learned from may be among these: they were not compared"}
    if covered:
        return {"level": "same classes", "why": f"{trained_on} has these classes, and may have these very images"}
    return {"level": "unknown", "why": f"{trained_on} does not cover these classes; its images may still be among these"}
