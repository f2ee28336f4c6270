"""The label curve's task: after the features of its runs, and of the same networks with random weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tlbatch.contracts.curve import CurveParams, CurveRun, CurveScratch
from tlbatch.contracts.evaluation import EvaluateRunParams
from tlbatch.contracts.models import Drawn
from tlbatch.planning.controls import Images, full_twin, random_twin
from tlbatch.planning.make import extract_node, finetune_node, given_of, plugins_of, redraws, weight_of
from tlbatch.planning.plan import Node, PlanBuilder
from tlbatch.planning.resolved import ResolvedStudy
from tlbatch.planning.runs import ResolvedRun
from tlbatch.roles import DATASET
from tlbatch.spec.curve import has_curve

CURVE = "curve"


def add_curve(builder: PlanBuilder, resolved: ResolvedStudy, needs: Mapping[str, str]) -> dict[str, str]:
    """Adds it to the plan where the study asks for one (tlbatch.steps). Features that the plan has already are shared."""
    curve = resolved.study.curve
    if curve is None:
        return {}
    asked = {run.name for run in resolved.study.runs if has_curve(run)}
    read, runs = {DATASET: needs[DATASET], **resolved.pinned}, []
    for run in resolved.runs:
        if run.name in asked:
            read[f"features:{run.name}"] = needs[f"extract:{run.name}"]
            runs.append(_curve_run(builder, resolved, run, read))
    params = CurveParams(
        labels=curve.labels, draws=curve.draws, redraw=redraws(resolved)[0], runs=tuple(runs), **resolved.division
    )
    names = tuple(run.name for run in runs)
    return {CURVE: builder.add(Node(CURVE, CURVE, params.as_json(), read, weight="light", runs=names, shape=CURVE))}


def _curve_run(builder: PlanBuilder, resolved: ResolvedStudy, run: ResolvedRun, read: dict[str, str]) -> CurveRun:
    """Adds the features of its control, where it is a published network: one of an earlier study has no twin here."""
    control = None
    if run.pretrained and run.model["backbone"]["name"] is not None:
        twin = random_twin(run)
        node = extract_node(resolved, twin, DATASET, read[DATASET])
        control, read[f"control:{run.name}"] = twin.name, builder.add_apart(node)
    seed, scratch = resolved.study.repeat.seeds[0], _scratch(builder, resolved, run, read)
    held = {"scratch": scratch} if scratch is not None else {}
    return CurveRun(name=run.name, head=run.model["head"], seed=seed, views=run.views, control=control, **held)


def _scratch(builder: PlanBuilder, resolved: ResolvedStudy, run: ResolvedRun, read: dict[str, str]) -> CurveScratch | None:
    """Adds a training from random weights for each number of labels and draw, and for each number their evaluation.

    None where it is not asked for, and of an earlier study's network, which has no architecture of its own here.
    """
    curve, labels = resolved.study.curve, _scratch_labels(resolved, run)
    if curve is None or curve.scratch is None or not labels:
        return None
    asked = curve.scratch
    for number in labels:
        trained = _trained(resolved, run, number, asked.run)
        models = {f"model:{draw}": builder.add_apart(_training(resolved, trained, number, draw)) for draw in range(asked.draws)}
        read[f"scratch:{run.name}:{number}"] = builder.add_apart(_judged(resolved, trained, models, asked.draws))
    return CurveScratch(name=asked.run or f"{run.name}-scratch", labels=labels, draws=asked.draws)


def scratch_runs(resolved: ResolvedStudy) -> Iterator[ResolvedRun]:
    """What the curve trains from random weights, for each number of labels: no run of the study, and planned like one."""
    curve = resolved.study.curve
    if curve is None or curve.scratch is None:
        return
    asked = {run.name for run in resolved.study.runs if has_curve(run)}
    for run in resolved.runs:
        for number in _scratch_labels(resolved, run) if run.name in asked else ():
            yield _trained(resolved, run, number, curve.scratch.run)


def _scratch_labels(resolved: ResolvedStudy, run: ResolvedRun) -> tuple[int, ...]:
    """Numbers of labels a class; none where it is not asked for, and of a network without an architecture of its own here."""
    curve = resolved.study.curve
    if curve is None or curve.scratch is None or curve.labels is None:
        return ()
    if curve.scratch.run is None and (run.weights is None or run.model["backbone"]["name"] is None):
        return ()
    return tuple(curve.scratch.labels or curve.labels)


def _trained(resolved: ResolvedStudy, run: ResolvedRun, labels: int, named: str | None) -> ResolvedRun:
    """What is trained on so many labels a class: a run of the study as it is there, or the network of ``run`` anew."""
    if named is not None:
        found = next(each for each in resolved.runs if each.name == named)
        return replace(found, name=f"{named}-{labels}-labels")
    images = Images(train=labels * len(resolved.data.classes), validation=resolved.images.validation)
    return replace(full_twin(run, images), name=f"{run.name}-scratch-{labels}-labels")


def _training(resolved: ResolvedStudy, run: ResolvedRun, labels: int, draw: int) -> Node:
    """The draw's number is the seed, too: other labels come with other random weights."""
    drawn = Drawn(labels=labels, draw=draw)
    return finetune_node(resolved, run, draw, redraws(resolved)[0], None, str(draw), {DATASET: "prepare"}, drawn)


def _judged(resolved: ResolvedStudy, run: ResolvedRun, models: dict[str, str], draws: int) -> Node:
    params = EvaluateRunParams(
        run_kind="trained",
        **resolved.division,
        seeds=tuple(range(draws)),
        folds=None,
        redraw=False,
        precision=run.precision,
        label_errors=False,
        **plugins_of(run.added),
    )
    return Node(
        name=f"evaluate:{run.name}",
        step="evaluate",
        params=params.as_json(),
        needs={DATASET: "prepare", **resolved.pinned, **models},
        weight=weight_of(run),
        runs=run.names,
        shape=f"evaluate:{run.name}:{run.kind.measure(run.input)}",
        **given_of(run),
    )
