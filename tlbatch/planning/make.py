"""ResolvedStudy runs to the DAG of their tasks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pkgutil import resolve_name
from typing import Any

from tlbatch import nouns
from tlbatch.contracts.data import LearntTask, OverlapParams, PrepareParams, SourceParams, searched
from tlbatch.contracts.evaluation import EvaluateRunParams, EvaluateZeroLabelParams
from tlbatch.contracts.models import Backbone, Drawn, ExtractParams, FinetuneParams, Model, Redrawn, Views
from tlbatch.errors import DataError
from tlbatch.kinds import kind_of
from tlbatch.planning.champion_tasks import champion_node, decide_node, pin_node
from tlbatch.planning.plan import Node, Plan, PlanBuilder
from tlbatch.planning.resolved import ListedData, ResolvedStudy, ZeroLabel
from tlbatch.planning.runs import ResolvedRun
from tlbatch.plugins import used
from tlbatch.roles import DATASET, TOGETHER, overlap_input, source_input, source_of, task_of
from tlbatch.spec.added import added_to_model, name_and_settings, settings_by
from tlbatch.spec.dataset import Dataset, Source
from tlbatch.steps import STEPS

MANY_TO_FIT = 2_000_000
"""Listed items x classes from which on what is fitted to features takes all cores (jobs.heads.held_out)."""
AddStep = Callable[[PlanBuilder, ResolvedStudy, Mapping[str, str]], dict[str, str]]
"""Adds a step's task to the plan; given and returning what later tasks, the report's last, read by role."""


def make_plan(resolved: ResolvedStudy) -> Plan:
    """A prepare of each dataset, with a schedule the pins, for each run its tasks, then what the table of steps adds."""
    builder = PlanBuilder(resolved.study.name)
    prepared = {DATASET: builder.add(prepare_node(DATASET, resolved.study.dataset, resolved.data))}
    overlaps: dict[str, str] = {}
    for name, source in resolved.study.sources.items():
        role = source_input(name)
        prepared[role] = builder.add(prepare_node(role, source, resolved.sources[name]))
        if source.near_duplicates and resolved.study.dataset.near_duplicates:
            overlaps[overlap_input(name)] = builder.add(_overlap(role, resolved, name, prepared))
    if resolved.defended:
        builder.add(pin_node(resolved.defended, resolved.data.classes, resolved.study, resolved.data.tasks))
    report_needs = {**prepared, **overlaps, **resolved.pinned}
    for run in [*resolved.runs, *resolved.controls]:
        report_needs |= _add_run(builder, resolved, run, prepared, overlaps)
    for zero in resolved.zero_label:
        report_needs[f"evaluate:{zero.name}"] = builder.add(_zero_label(resolved, zero))
    for step in STEPS.values():
        if step.planned:
            add: AddStep = resolve_name(step.planned)
            report_needs |= add(builder, resolved, report_needs)
    return builder.build()


def add_decision(builder: PlanBuilder, resolved: ResolvedStudy, needs: Mapping[str, str]) -> dict[str, str]:
    """With a schedule: the champion on this firing's test set, and who is to be the champion now."""
    defended = resolved.defended
    if defended is None:
        return {}
    known = [run.weights for run in resolved.runs if run.weights and run.weights.location and "sha256" in run.weights.params]
    locations = {str(weights.params["sha256"]): weights.location for weights in known if weights.location}
    for task in resolved.study.dataset.tasks or (None,):
        champion = champion_node(defended, resolved.division_of(task), locations, task)
        if champion is not None:
            builder.add(champion)
    return {"decision": builder.add(decide_node(defended, resolved.study, [run.name for run in resolved.runs], needs))}


def prepare_node(role: str, dataset: Dataset | Source, data: ListedData) -> Node:
    params = PrepareParams(
        dataset=data.digest,
        stored_size=dataset.stored_size,
        max_bad=dataset.max_bad,
        near_duplicates=dataset.near_duplicates,
        **(searched(data.files, dataset.kind_name) if dataset.near_duplicates else {}),
        **_kind_of_data(dataset),
    )
    name = task_of("prepare", role)
    shape, units = f"{name} a file", float(max(1, data.files))
    node = Node(name, "prepare", params.as_json(), locations={"dataset": data.url}, shape=shape, units=units)
    task = node.task({})
    assert task is not None
    place = f"work/{task.key}/listing.json"
    files = {} if data.listing is None else {place: data.listing}
    return replace(node, locations={**node.locations, "listing": place}, files=files)


def _overlap(role: str, resolved: ResolvedStudy, source: str, prepared: Mapping[str, str]) -> Node:
    """What of a source the target has too. One that the target's kind cannot compare says so itself."""
    target, files = resolved.study.dataset, resolved.data.files + resolved.sources[source].files
    params = OverlapParams(stored_size=target.stored_size, **searched(files, target.kind_name), **_kind_of_data(target))
    name = task_of("overlap", role)
    needs = {DATASET: prepared[DATASET], role: prepared[role]}
    return Node(name, "overlap", params.as_json(), needs, weight="light", shape=name)


def _kind_of_data(dataset: Dataset | Source) -> dict[str, Any]:
    """Of a plug-in's kind: its name, what is set of it, and which version; nothing of pictures."""
    name = dataset.kind_name
    if name is None or dataset.kind is None:
        return {}
    return {
        "kind": name,
        "settings": settings_by(kind_of(name).settings, name_and_settings(dataset.kind)[1]),
        **plugins_of([name]),
    }


def _sources(resolved: ResolvedStudy, run: ResolvedRun) -> dict[str, SourceParams]:
    """The sources that the run reads, by name. Raises DataError for one that shares no class with the target."""
    if not run.strategy_entry.reads_sources:
        return {}
    found = {}
    for name, source in resolved.study.sources.items():
        classes = resolved.sources[name].classes
        if run.strategy_entry.shared_classes:
            classes = tuple(each for each in resolved.data.classes if each in classes)
        if not classes:
            raise DataError(
                f"sources.{name}: {resolved.sources[name].url} has no {nouns.item()} of the target's classes "
                f"({', '.join(resolved.data.classes[:5])}), by which {run.name} learns: say which mean the same "
                f"(sources.{name}.aliases), or leave it out"
            )
        found[name] = SourceParams(split=source.split, classes=classes)
    return found


def _folds(resolved: ResolvedStudy) -> list[int | None]:
    folds = resolved.study.dataset.split.folds
    return [None] if folds is None else list(range(folds))


def redraws(resolved: ResolvedStudy) -> list[int | None]:
    """For each seed, itself where it draws training images of its own."""
    repeat = resolved.study.repeat
    return [seed if repeat.redraw == "train" else None for seed in repeat.seeds]


def _add_run(
    builder: PlanBuilder, resolved: ResolvedStudy, run: ResolvedRun, prepared: Mapping[str, str], overlaps: Mapping[str, str]
) -> dict[str, str]:
    """Adds the run's tasks; returns what the report reads of them, by role. ``prepared``: tasks of datasets by input.

    ``overlaps``: tasks that say what of a source the target has too, by input.
    """
    roles: dict[str, str] = {}
    read = {role: name for role, name in prepared.items() if role == DATASET or run.strategy_entry.reads_sources}
    also = overlaps if run.strategy_entry.reads_sources else {}
    features: dict[str, str] = {}
    for role, name in read.items() if run.on_features else ():
        node = extract_node(resolved, run, role, name)
        features[task_of("features", role)] = roles[node.name] = builder.add(node)
    models: dict[str, str] = {}
    for seed, redraw in zip(resolved.study.repeat.seeds, redraws(resolved), strict=True):
        for fold in _folds(resolved):
            part = f"{seed}" if fold is None else f"{seed}:{fold}"
            node = finetune_node(resolved, run, seed, redraw, fold, part, {**read, **also, **features})
            if run.tasks:
                roles[f"{TOGETHER}:{run.name}:{part}"] = together = builder.add(_together(resolved, run, node, part))
                node = replace(node, needs={**node.needs, TOGETHER: together}, weight="light", shape="finetune:task", units=1.0)
            models[f"model:{part}"] = builder.add(node)
            roles[f"finetune:{run.name}:{part}"] = models[f"model:{part}"]
    roles[f"evaluate:{run.name}"] = builder.add(_evaluate(resolved, run, models, features.get("features")))
    return roles


def plugins_of(names: Iterable[str]) -> dict[str, Any]:
    """Which versions of plug-ins a task is planned with; nothing where none adds to it, so that its key is the same as ever."""
    found = used(names)
    return {"plugins": found} if found else {}


def _metrics(resolved: ResolvedStudy) -> dict[str, Any]:
    """Those of plug-ins that the study names; nothing where it names none."""
    return {"metrics": resolved.study.metrics} if resolved.study.metrics else {}


def given_of(run: ResolvedRun) -> dict[str, Any]:
    """What a task of the run needs for its backbone: an earlier study's model, or where the weights' bytes are."""
    weights = run.weights
    given = {"source": weights.source} if weights and weights.source else {}
    locations = {"weights": weights.location} if weights and weights.location else {}
    return {"given": given, "locations": locations}


def _divided(resolved: ResolvedStudy) -> Redrawn | None:
    """What of the target needs features; None: all of it. What is pinned leaves nothing out, and episodes are drawn of all."""
    episodes = resolved.study.evaluate is not None and resolved.study.evaluate.episodes is not None
    if not resolved.images.unused or resolved.defended or episodes:
        return None
    return Redrawn(redraws=tuple(redraws(resolved)), **resolved.division)


def extract_node(resolved: ResolvedStudy, run: ResolvedRun, role: str, prepared: str) -> Node:
    """Of one dataset. Views are of the target's training images, of which a study may use a part."""
    views, divided = None, _divided(resolved) if role == DATASET else None
    if run.views and role == DATASET:
        drawn = tuple(redraws(resolved))
        views = Views(count=run.views, augmentation=run.augmentation, redraws=drawn, **resolved.division)
    only: dict[str, Any] = {"divided": divided} if divided else {}
    params = ExtractParams(
        backbone=Backbone.of(run.model["backbone"]),
        layer=run.model["layer"],
        pool=run.model["pool"],
        input=run.input,
        precision=run.precision,
        views=views,
        **only,
        **plugins_of(run.added_to_features),
    )
    name = run.model["backbone"]["name"] or "source"
    return Node(
        name=task_of(f"extract:{run.name}", role),
        step="extract",
        params=params.as_json(),
        needs={DATASET: prepared} | (resolved.pinned if views else {}),
        weight=weight_of(run),
        runs=run.names,
        shape=f"extract:{name}:{run.kind.measure(run.input)} a row",
        units=float(max(1, _rows(resolved, role, views, divided))),
        **given_of(run),
    )


def _rows(resolved: ResolvedStudy, role: str, views: Views | None, divided: Redrawn | None) -> int:
    """How many rows of features, as far as the listing tells. Seeds may draw the same training images, which count once."""
    listed = resolved.data.files if role == DATASET else resolved.sources[source_of(role)].files
    images, drawn = resolved.images, 1 if views is None and divided is None else len({*redraws(resolved)})
    train = min(images.train * drawn, images.train + images.unused)
    used = train + images.validation + images.test if divided else listed
    return used + (views.count * train if views else 0)


def finetune_node(
    resolved: ResolvedStudy,
    run: ResolvedRun,
    seed: int,
    redraw: int | None,
    fold: int | None,
    part: str,
    read: Mapping[str, str],
    drawn: Drawn | None = None,
) -> Node:
    """``read``: the datasets and features that it reads, by input. ``drawn``: it trains on these labels alone."""
    only: dict[str, Any] = {"drawn": drawn} if drawn is not None else {}
    sources: dict[str, Any] = {"sources": asked} if (asked := _sources(resolved, run)) else {}
    params = FinetuneParams(
        model=Model.of(run.model),
        strategy=run.strategy,
        input=run.input,
        augmentation=run.augmentation,
        train=run.train,
        **resolved.division_of(run.task),
        seed=seed,
        redraw=redraw,
        fold=fold,
        precision=run.precision,
        views=run.views,
        **only,
        **sources,
        **plugins_of(run.added),
    )
    return Node(
        name=f"finetune:{run.name}:{part}",
        step="finetune",
        params=params.as_json(),
        needs={**read, **resolved.pinned},
        weight=weight_of_heads(resolved, run.task) if run.on_features else weight_of(run),
        runs=run.names,
        shape=f"finetune:{run.name}:{run.kind.measure(run.input)} by item and epoch",
        units=float(run.train.epochs * max(1, resolved.images.train)),
        **given_of(run),
    )


def _together(resolved: ResolvedStudy, run: ResolvedRun, node: Node, part: str) -> Node:
    """The one training of all tasks of a run, from that of one of them (``node``). It is no run's model, and not called so."""
    tasks = [LearntTask(name=name, classes=resolved.data.tasks[name]).as_json() for name in run.tasks]
    params = {name: value for name, value in node.params.items() if name != "task"}
    params |= {"classes": list(resolved.data.classes), "tasks": tasks}
    return replace(node, name=f"{TOGETHER}:{run.together}:{part}", params=params)


def _evaluate(resolved: ResolvedStudy, run: ResolvedRun, models: dict[str, str], features: str | None) -> Node:
    params = EvaluateRunParams(
        run_kind="trained",
        **resolved.division_of(run.task),
        seeds=resolved.study.repeat.seeds,
        folds=resolved.study.dataset.split.folds,
        redraw=resolved.study.repeat.redraw == "train",
        precision=run.precision,
        label_errors=not run.control_for and not run.on_features,
        **_metrics(resolved),
        **plugins_of([*run.added, *resolved.study.metrics]),
    )
    needs = {"dataset": "prepare", **resolved.pinned, **models} | ({"features": features} if features else {})
    return Node(
        name=f"evaluate:{run.name}",
        step="evaluate",
        params=params.as_json(),
        needs=needs,
        weight=weight_of(run),
        runs=run.names,
        shape=f"evaluate:{run.name}:{run.kind.measure(run.input)} an answer",
        units=float(len(models) * max(1, resolved.images.test)),
        **given_of(run),
    )


def _zero_label(resolved: ResolvedStudy, zero: ZeroLabel) -> Node:
    prompted: dict[str, Any] = {"prompted": zero.prompted} if zero.prompted else {}
    params = EvaluateZeroLabelParams(
        run_kind="zero_label",
        **resolved.division,
        seeds=(),
        folds=None,
        redraw=False,
        precision=zero.precision,
        backbone=Backbone.of(zero.backbone),
        input=zero.input,
        mapping={name: tuple(outputs) for name, outputs in zero.mapping.items()},
        described=zero.described,
        **prompted,
        **_metrics(resolved),
        **plugins_of([*added_to_model({"backbone": zero.backbone}), *resolved.study.metrics]),
    ).as_json()
    places = {"weights": zero.location, "vectors": zero.vectors}
    locations = {role: place for role, place in places.items() if place}
    shape = f"evaluate:{zero.backbone['name']}:{kind_of(zero.input.get('kind')).measure(zero.input)}"
    needs = {"dataset": "prepare", **resolved.pinned}
    return Node(f"evaluate:{zero.name}", "evaluate", params, needs, locations=locations, runs=(zero.name,), shape=shape)


def weight_of_heads(resolved: ResolvedStudy, task: str | None) -> str:
    """Of what is fitted to cached features: a core is enough but for many items of many classes."""
    return "heavy" if resolved.data.files * len(resolved.division_of(task)["classes"]) > MANY_TO_FIT else "light"


def weight_of(run: ResolvedRun) -> str:
    return "light" if run.kind.small(run.input) else "heavy"
