"""What a study would do, told without doing it: nothing is written, no image is read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tlbatch.catalogue import BackboneInfo, backbones
from tlbatch.planning import Node, Plan
from tlbatch.planning.make import Settled
from tlbatch.planning.runs import SettledRun
from tlbatch.rates import estimate_s
from tlbatch.store import Store
from tlbatch.store.artifacts import load_manifest
from tlbatch.tasks import InputRef

CACHED, TO_RUN, AFTER = "cached", "to run", "known after"


@dataclass(frozen=True)
class Forecast:
    """One task: cached, to run, or known only after ``after`` has run. ``seconds``: an estimate, None where there is none."""

    name: str
    step: str
    state: str
    runs: tuple[str, ...] = ()
    after: str = ""
    key: str = ""
    seconds: float | None = None


def forecast(store: Store, plan: Plan) -> list[Forecast]:
    """Every task in the plan's order."""
    done: dict[str, InputRef] = {}
    lines = []
    for node in plan:
        task = node.task(done)
        if task is None:
            after = next(name for name in node.needs.values() if name not in done)
            lines.append(Forecast(node.name, node.step, AFTER, node.runs, after, seconds=estimate_s(store, node)))
            continue
        manifest = load_manifest(store, node.step, task.key)
        if manifest is None:
            lines.append(Forecast(node.name, node.step, TO_RUN, node.runs, "", task.key, estimate_s(store, node)))
        else:
            done[node.name] = InputRef(node.step, manifest.key, manifest.digest)
            lines.append(Forecast(node.name, node.step, CACHED, node.runs, "", task.key, 0.0))
    return lines


def total_s(lines: Iterable[Forecast], nodes: dict[str, Node], cores: int) -> tuple[float, int]:
    """Estimated seconds on ``cores`` cores (light tasks side by side), and how many tasks have no estimate."""
    heavy = light = 0.0
    unknown = 0
    for line in lines:
        if line.seconds is None:
            unknown += 1
        elif nodes[line.name].weight == "heavy":
            heavy += line.seconds
        else:
            light += line.seconds
    return heavy + light / max(1, cores), unknown


@dataclass(frozen=True)
class RunFacts:
    """What of a run's network is trained. Parameters are None where only building the network would tell."""

    name: str
    network: str
    strategy: str
    input: str
    trainable: tuple[str, ...]
    frozen: tuple[str, ...]
    parameters: int | None
    features: int | None
    role: str = "run"


def run_facts(settled: Settled) -> list[RunFacts]:
    """A line for every run and control."""
    return [_facts(run) for run in [*settled.runs, *settled.controls]]


def _facts(run: SettledRun) -> RunFacts:
    size = run.input["size"]
    shape = f"{size}x{size} {run.input['resize']}, {run.input['interpolation']}"
    role = f"control of {', '.join(run.control_for)}" if run.control_for else "run"
    if "scratch" in run.model:
        scratch = run.model["scratch"]
        stages = (*(f"conv{i + 1}" for i in range(len(scratch["channels"]))), "head")
        return RunFacts(run.name, "scratch CNN", "scratch", shape, stages, (), None, None, role)
    name = run.model["backbone"]["name"]
    strategy = run.strategy if isinstance(run.strategy, str) else f"finetune: {_shown(run.strategy['finetune']['unfreeze'])}"
    info = backbones().get(name or "")
    if info is None:
        trainable = ("head",) if strategy == "features" else ("as the study says", "head")
        return RunFacts(run.name, name or "an earlier study's", strategy, shape, trainable, (), None, None, role)
    used = info.stages_to(run.model["layer"])
    unfrozen = _unfrozen(run, [stage.name for stage in used])
    frozen = tuple(stage.name for stage in used if stage.name not in unfrozen)
    parameters = sum(stage.parameters for stage in used if stage.name in unfrozen)
    features = _feature_size(info, run, size)
    return RunFacts(run.name, name, strategy, shape, (*unfrozen, "head"), frozen, parameters, features, role)


def _unfrozen(run: SettledRun, stages: list[str]) -> tuple[str, ...]:
    if isinstance(run.strategy, str):
        return ()
    unfreeze = run.strategy["finetune"]["unfreeze"]
    if unfreeze == "all":
        return tuple(stages)
    return () if unfreeze == "none" else tuple(stage for stage in stages if stage in unfreeze)


def _feature_size(info: BackboneInfo, run: SettledRun, size: int) -> int | None:
    shape = info.feature_shape(run.model["layer"], size)
    if shape is None:
        return None
    if run.model["pool"] != "flatten":
        return int(shape[0])
    return math.prod(shape)


def _shown(unfreeze: Any) -> str:
    return unfreeze if isinstance(unfreeze, str) else ", ".join(unfreeze)
