"""The task that looks for wrong labels by cached features: one a study, of several tasks one for each."""

from __future__ import annotations

from collections.abc import Mapping

from tlbatch.contracts.evaluation import Judge, SuspectsParams
from tlbatch.planning.make import redraws, weight_of_heads
from tlbatch.planning.plan import Node, PlanBuilder
from tlbatch.planning.resolved import ResolvedStudy
from tlbatch.planning.runs import ResolvedRun
from tlbatch.roles import DATASET, SUSPECTS, suspects_input


def add_suspects(builder: PlanBuilder, resolved: ResolvedStudy, needs: Mapping[str, str]) -> dict[str, str]:
    """Adds it to the plan where a run of the study learns from cached features (tlbatch.steps). Controls judge no labels."""
    found = {}
    for task in resolved.study.dataset.tasks or (None,):
        runs = [run for run in resolved.runs if run.on_features and run.task == task]
        if runs:
            name = suspects_input(task)
            found[name] = builder.add(_node(name, task, runs, resolved, needs))
    return found


def _node(name: str, task: str | None, runs: list[ResolvedRun], resolved: ResolvedStudy, needs: Mapping[str, str]) -> Node:
    """It waits for the runs' models only where these decide whose features judge."""
    features = {run.name: needs[f"extract:{run.name}"] for run in runs}
    judges = [
        Judge(name=sharing[0], runs=sharing)
        for each in dict.fromkeys(features.values())
        if (sharing := tuple(run for run, own in features.items() if own == each))
    ]
    read = {DATASET: needs[DATASET], **resolved.pinned, **{f"features:{judge.name}": features[judge.name] for judge in judges}}
    if len(judges) > 1:
        trained = {role: role.partition(":")[2] for role in needs if role.startswith("finetune:")}
        read |= {f"model:{own}": needs[role] for role, own in trained.items() if own.partition(":")[0] in features}
    params = SuspectsParams(redraw=redraws(resolved)[0], judges=tuple(judges), **resolved.division_of(task))
    weight = weight_of_heads(resolved, task)
    names = tuple(dict.fromkeys(each for run in runs for each in run.names))
    return Node(name, SUSPECTS, params.as_json(), read, weight=weight, runs=names, shape=SUSPECTS)
