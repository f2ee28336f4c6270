"""The task of few-shot episodes: after the features of its runs, frozen or trained, and of the same networks' random twins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tlbatch.contracts.episodes import EpisodesParams, EpisodesRun
from tlbatch.planning.controls import random_twin
from tlbatch.planning.make import extract_node
from tlbatch.planning.plan import Node, PlanBuilder
from tlbatch.planning.resolved import ResolvedStudy
from tlbatch.planning.runs import ResolvedRun
from tlbatch.planning.weights import ResolvedWeights
from tlbatch.roles import DATASET
from tlbatch.spec.episodes import has_episodes

EPISODES = "episodes"


def add_episodes(builder: PlanBuilder, resolved: ResolvedStudy, needs: Mapping[str, str]) -> dict[str, str]:
    """Adds it to the plan where the study asks for it (tlbatch.steps). Features that the plan has already are shared."""
    asked = None if resolved.study.evaluate is None else resolved.study.evaluate.episodes
    if asked is None:
        return {}
    judged = {run.name for run in resolved.study.runs if has_episodes(run)}
    read, runs = {DATASET: needs[DATASET]}, []
    for run in resolved.runs:
        if run.name in judged:
            read[f"features:{run.name}"] = _features(builder, resolved, run, needs)
            runs.append(_run(builder, resolved, run, read))
    params = EpisodesParams(
        **asked.model_dump(mode="json", include={"ways", "shots", "queries", "count", "heads"}),
        classes=resolved.held_out,
        learnt=resolved.data.classes,
        seed=resolved.study.dataset.split.seed,
        runs=tuple(runs),
    )
    names = tuple(run.name for run in runs)
    return {EPISODES: builder.add(Node(EPISODES, EPISODES, params.as_json(), read, weight="light", runs=names, shape=EPISODES))}


def _features(builder: PlanBuilder, resolved: ResolvedStudy, run: ResolvedRun, needs: Mapping[str, str]) -> str:
    """The task that leaves them: the run's own, or one more, of the network that its first seed (and fold) trained."""
    if run.on_features:
        return needs[f"extract:{run.name}"]
    trained = next(name for role, name in needs.items() if role.startswith(f"finetune:{run.name}:"))
    return builder.add_apart(trained_node(resolved, run, needs[DATASET], trained))


def trained_node(resolved: ResolvedStudy, run: ResolvedRun, prepared: str, trained: str) -> Node:
    """Extracts what the trained network's last layer says; its weights are the finetune task's own artifact."""
    weights = ResolvedWeights({"kind": "run", "from": f"{resolved.study.name}/{run.name}"}, own_input=run.own_input)
    model: dict[str, Any] = {
        "backbone": {"name": None, "weights": weights.params},
        "layer": run.model.get("layer"),
        "pool": run.model.get("pool") or "avg",
    }
    twin = replace(run, name=f"{run.name}-trained", model=model, weights=weights, views=0)
    node = extract_node(resolved, twin, DATASET, prepared)
    return replace(node, needs={**node.needs, "source": trained})


def _run(builder: PlanBuilder, resolved: ResolvedStudy, run: ResolvedRun, read: dict[str, str]) -> EpisodesRun:
    """Adds the features of its control, where it is a published network: one of an earlier study has no twin here."""
    control = None
    if run.pretrained and run.model["backbone"]["name"] is not None:
        twin = random_twin(run)
        node = extract_node(resolved, twin, DATASET, read[DATASET])
        control, read[f"control:{run.name}"] = twin.name, builder.add_apart(node)
    return EpisodesRun(name=run.name, trained=not run.on_features, control=control)
