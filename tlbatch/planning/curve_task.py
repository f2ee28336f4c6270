"""The label curve's task: after the features of its runs, and of the same networks with random weights."""

from __future__ import annotations

from collections.abc import Mapping

from tlbatch.contracts.curve import CurveParams, CurveRun
from tlbatch.planning.controls import random_twin
from tlbatch.planning.make import extract_node, redraws
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
    seed = resolved.study.repeat.seeds[0]
    return CurveRun(name=run.name, head=run.model["head"], seed=seed, views=run.views, control=control)
