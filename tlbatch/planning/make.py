"""Settled runs to the DAG of their tasks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tlbatch.planning.defence import PINNED, Defended, champion_node, decide_node, pin_node
from tlbatch.planning.plan import Node, Plan, PlanBuilder
from tlbatch.planning.runs import SettledRun, contrasts, plain
from tlbatch.spec import Study
from tlbatch.steps import STEPS, import_name

SMALL_INPUT = 64
"""Images up to this many pixels a side are trained on one core: two such tasks side by side beat one on two cores."""


@dataclass(frozen=True)
class ListedData:
    """What the plan knows of the dataset before anything is read: where, which classes, and the digest of its listing."""

    url: str
    classes: tuple[str, ...]
    digest: str
    listing: bytes = b""
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  #: what people should know of it: files that cannot be used, what was left out


@dataclass(frozen=True)
class ZeroLabel:
    """A backbone's own head on the target's classes, with no labels: ``mapping`` is class -> indices of its outputs."""

    name: str
    backbone: dict[str, Any]
    input: dict[str, Any]
    mapping: dict[str, list[int]]
    precision: str
    location: str | None = None


@dataclass(frozen=True)
class Settled:
    """All that decides a plan."""

    study: Study
    data: ListedData
    runs: Sequence[SettledRun]
    controls: Sequence[SettledRun] = ()
    zero_label: Sequence[ZeroLabel] = ()
    seen: dict[str, str] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    defended: Defended | None = None
    corrections: dict[str, int] = field(default_factory=dict)
    cautions: tuple[str, ...] = ()  #: what the study asks for and will not get, as far as the listing tells

    @property
    def pinned(self) -> dict[str, str]:
        """What tasks need that divide the images: a schedule's pins."""
        return PINNED if self.defended else {}


AddStep = Callable[[PlanBuilder, Settled, Mapping[str, str]], dict[str, str]]
"""Adds a step's task to the plan; given and returning what later tasks, the report's last, read by role."""


def make_plan(settled: Settled) -> Plan:
    """Prepare, with a schedule the pins, for each run extract, finetune and evaluate, then what the table of steps adds."""
    builder = PlanBuilder(settled.study.name)
    prepare = builder.add(_prepare(settled))
    if settled.defended:
        builder.add(pin_node(settled.defended, _split(settled), settled.study))
    report_needs = {"dataset": prepare, **settled.pinned}
    for run in [*settled.runs, *settled.controls]:
        report_needs |= _add_run(builder, settled, run)
    for zero in settled.zero_label:
        report_needs[f"evaluate:{zero.name}"] = builder.add(_zero_label(settled, zero))
    for step in STEPS.values():
        if step.planned:
            add: AddStep = import_name(step.planned)
            report_needs |= add(builder, settled, report_needs)
    return builder.build()


def add_report(builder: PlanBuilder, settled: Settled, needs: Mapping[str, str]) -> dict[str, str]:
    """Last, and of all that the others made."""
    builder.add(Node("report", "report", _report_params(settled), dict(needs), weight="light", shape="report"))
    return {}


def add_decision(builder: PlanBuilder, settled: Settled, needs: Mapping[str, str]) -> dict[str, str]:
    """With a schedule: the champion on this firing's test set, and who is to be the champion now."""
    defended = settled.defended
    if defended is None:
        return {}
    known = [run.weights for run in settled.runs if run.weights and run.weights.location and "sha256" in run.weights.params]
    locations = {str(weights.params["sha256"]): weights.location for weights in known if weights.location}
    champion = champion_node(defended, _split(settled), locations)
    if champion is not None:
        builder.add(champion)
    return {"decision": builder.add(decide_node(defended, settled.study, [run.name for run in settled.runs], needs))}


def _prepare(settled: Settled) -> Node:
    dataset = settled.study.dataset
    params = {
        "dataset": settled.data.digest,
        "stored_size": dataset.stored_size,
        "max_bad": dataset.max_bad,
        "near_duplicates": dataset.near_duplicates,
    }
    node = Node("prepare", "prepare", params, locations={"dataset": settled.data.url}, shape="prepare")
    task = node.task({})
    assert task is not None
    place = f"work/{task.key}/listing.json"
    return replace(node, locations={**node.locations, "listing": place}, files={place: settled.data.listing})


def _split(settled: Settled) -> dict[str, Any]:
    return {"split": plain(settled.study.dataset.split), "classes": list(settled.data.classes)}


def _folds(settled: Settled) -> list[int | None]:
    folds = settled.study.dataset.split.folds
    return [None] if folds is None else list(range(folds))


def _redraws(settled: Settled) -> list[int | None]:
    repeat = settled.study.repeat
    return [seed if repeat.redraw == "train" else None for seed in repeat.seeds]


def _add_run(builder: PlanBuilder, settled: Settled, run: SettledRun) -> dict[str, str]:
    """Adds the run's tasks; returns what the report reads of them, by role."""
    roles: dict[str, str] = {}
    if run.on_features:
        roles[f"extract:{run.name}"] = builder.add(_extract(settled, run))
    models: dict[str, str] = {}
    for seed, redraw in zip(settled.study.repeat.seeds, _redraws(settled), strict=True):
        for fold in _folds(settled):
            part = f"{seed}" if fold is None else f"{seed}:{fold}"
            node = _finetune(settled, run, seed, redraw, fold, part, roles.get(f"extract:{run.name}"))
            models[f"model:{part}"] = builder.add(node)
            roles[f"finetune:{run.name}:{part}"] = models[f"model:{part}"]
    roles[f"evaluate:{run.name}"] = builder.add(_evaluate(settled, run, models, roles.get(f"extract:{run.name}")))
    return roles


def _given(run: SettledRun) -> dict[str, Any]:
    """What a task of the run needs for its backbone: an earlier study's model, or where the weights' bytes are."""
    weights = run.weights
    given = {"source": weights.source} if weights and weights.source else {}
    locations = {"weights": weights.location} if weights and weights.location else {}
    return {"given": given, "locations": locations}


def _extract(settled: Settled, run: SettledRun) -> Node:
    views = None
    if run.views:
        views = {"count": run.views, "augmentation": run.augmentation, "redraws": _redraws(settled), **_split(settled)}
    params = {
        **{name: run.model[name] for name in ("backbone", "layer", "pool")},
        "input": run.input,
        "precision": run.precision,
        "views": views,
    }
    name = run.model["backbone"]["name"] or "source"
    return Node(
        name=f"extract:{run.name}",
        step="extract",
        params=params,
        needs={"dataset": "prepare"} | (settled.pinned if views else {}),
        weight=_weight(run),
        runs=(run.name,),
        shape=f"extract:{name}:{run.input['size']}",
        **_given(run),
    )


def _finetune(
    settled: Settled, run: SettledRun, seed: int, redraw: int | None, fold: int | None, part: str, features: str | None
) -> Node:
    params = {
        "model": run.model,
        "strategy": run.strategy,
        "input": run.input,
        "augmentation": run.augmentation,
        "train": run.train,
        **_split(settled),
        "seed": seed,
        "redraw": redraw,
        "fold": fold,
        "precision": run.precision,
        "views": run.views,
    }
    return Node(
        name=f"finetune:{run.name}:{part}",
        step="finetune",
        params=params,
        needs={"dataset": "prepare", **settled.pinned} | ({"features": features} if features else {}),
        weight="light" if features else _weight(run),
        runs=(run.name,),
        shape=f"finetune:{run.name}:{run.input['size']}",
        units=float(run.train["epochs"]),
        **_given(run),
    )


def _evaluate(settled: Settled, run: SettledRun, models: dict[str, str], features: str | None) -> Node:
    params = {
        "run_kind": "trained",
        **_split(settled),
        "seeds": list(settled.study.repeat.seeds),
        "folds": settled.study.dataset.split.folds,
        "redraw": settled.study.repeat.redraw == "train",
        "precision": run.precision,
    }
    needs = {"dataset": "prepare", **settled.pinned, **models} | ({"features": features} if features else {})
    return Node(
        name=f"evaluate:{run.name}",
        step="evaluate",
        params=params,
        needs=needs,
        weight=_weight(run),
        runs=(run.name,),
        shape=f"evaluate:{run.name}:{run.input['size']}",
        **_given(run),
    )


def _zero_label(settled: Settled, zero: ZeroLabel) -> Node:
    params = {
        "run_kind": "zero_label",
        **_split(settled),
        "seeds": [],
        "folds": None,
        "redraw": False,
        "precision": zero.precision,
        "backbone": zero.backbone,
        "input": zero.input,
        "mapping": zero.mapping,
    }
    locations = {"weights": zero.location} if zero.location else {}
    shape = f"evaluate:{zero.backbone['name']}:{zero.input['size']}"
    needs = {"dataset": "prepare", **settled.pinned}
    return Node(f"evaluate:{zero.name}", "evaluate", params, needs, locations=locations, runs=(zero.name,), shape=shape)


def _weight(run: SettledRun) -> str:
    return "light" if run.input["size"] <= SMALL_INPUT else "heavy"


def _report_params(settled: Settled) -> dict[str, Any]:
    study = settled.study
    runs = [_describe(run, settled) for run in [*settled.runs, *settled.controls]]
    runs += [_describe_zero(zero) for zero in settled.zero_label]
    return {
        "study": study.name,
        "description": study.description,
        "document": settled.document,
        "runs": runs,
        "contrasts": contrasts(list(settled.runs), list(settled.controls)),
        "seen": settled.seen,
        **_split(settled),
        **({"uses": settled.defended.uses} if settled.defended else {}),
        **({"corrections": settled.corrections} if settled.corrections else {}),
    }


def _describe(run: SettledRun, settled: Settled) -> dict[str, Any]:
    return {
        "name": run.name,
        "role": "control" if run.control_for else "run",
        "control_for": list(run.control_for),
        "pretrained": run.pretrained,
        "scratch": run.scratch,
        "strategy": run.strategy,
        "model": run.model,
        "input": run.input,
        "input_own": run.own_input,
        "augmentation": run.augmentation,
        "train": run.train,
        "trained_on": run.weights.trained_on if run.weights else "",
        "seeds": list(settled.study.repeat.seeds),
        "folds": settled.study.dataset.split.folds,
    }


def _describe_zero(zero: ZeroLabel) -> dict[str, Any]:
    return {
        "name": zero.name,
        "role": "zero_label",
        "control_for": [],
        "pretrained": True,
        "scratch": False,
        "strategy": None,
        "model": {"backbone": zero.backbone},
        "input": zero.input,
        "input_own": zero.input,
        "augmentation": None,
        "train": None,
        "trained_on": "ImageNet",
        "seeds": [],
        "folds": None,
    }
