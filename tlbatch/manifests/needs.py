"""What one pod asks of the cluster: a study's resources, a run's and a profile's, resolved for one task. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from tlbatch.backbones.handcrafted import HAND_CRAFTED
from tlbatch.planning import Node, Plan
from tlbatch.roles import TOGETHER
from tlbatch.spec import Study
from tlbatch.spec.resources import Resources, StudyResources
from tlbatch.steps import STEPS
from tlbatch.strategies import strategy_of

COMPUTE = frozenset(
    {"gpu", "cpu", "memory", "shared_memory", "gpu_resource", "node_selector", "tolerations", "shards", "nodes"}
)
"""Fields of ``resources`` that hold for steps that compute only."""
FOR_GPUS = frozenset({"gpu", "gpu_resource", "node_selector", "tolerations"})
MERGED = frozenset({"labels", "annotations", "node_selector"})
"""Fields whose layers add up key by key; of all others the nearest one counts."""
NOT_FOR_DRIVERS = frozenset({"queue", "pod_patch", "service_account", "priority_class", "give_up_after", "deadline"})
GPU_RESOURCE = "nvidia.com/gpu"
SHARED_BY_GPUS = "1Gi"
"""Of /dev/shm, where several GPUs of a pod exchange gradients; a container has 64 MiB by itself."""
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DRIVER_TTL_S = 86400
PARALLELISM = 8
PREDICT = "predict"


@dataclass(frozen=True)
class Needs:
    """One pod's resources and placement, resolved. Times in s; quantities as Kubernetes writes them.

    Requests equal limits, but for ``cpu_limit`` where it is set. ``together``: whether several processes can do the task, one a
    GPU of each of ``nodes`` pods.
    """

    cpu: str
    memory: str
    scratch: str
    cpu_limit: str | None = None
    gpu: int = 0
    gpu_resource: str = GPU_RESOURCE
    shared_memory: str | None = None
    give_up_after_s: int | None = None
    ttl_s: int | None = None
    shards: int = 1
    nodes: int = 1
    together: bool = False
    queue: str | None = None
    priority_class: str | None = None
    service_account: str | None = None
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    image_pull_secrets: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    pod_patch: dict[str, Any] | None = None


DRIVER = Needs(cpu="25m", memory="512Mi", scratch="1Gi", cpu_limit="1", ttl_s=DRIVER_TTL_S)
DATA = Needs(cpu="1", memory="2Gi", scratch="20Gi")
LIGHT = Needs(cpu="1", memory="4Gi", scratch="20Gi")
HEAVY = Needs(cpu="2", memory="8Gi", scratch="50Gi")


def task_needs(study: Study, node: Node, defaults: StudyResources | None = None) -> Needs:
    """Of a task: built-in sizes, then the profile's resources, the study's, and the run's, the nearest last."""
    layers: list[dict[str, Any]] = []
    for resources in (defaults or StudyResources(), study.resources):
        layers.append(_without(_set(resources), _not_for(node)))
        layers.append(_set(resources.steps[node.step]) if node.step in resources.steps else {})
    run = _run_of(study, node)
    layers.append(_set(run) if run is not None else {})
    needs = _resolved(_base(node), layers)
    needs = needs if shared_by_pods(node) else _replace(needs, {"shards": 1})
    if not trained_together(node):
        return _replace(needs, {"nodes": 1})
    shared = {} if needs.gpu < 2 or needs.shared_memory else {"shared_memory": SHARED_BY_GPUS}
    return _replace(needs, {"together": True, **shared})


def trained_together(node: Node) -> bool:
    """Whether several processes can do the task: a network is trained on items, by a strategy that allows it."""
    if node.step != "finetune" or {"features", TOGETHER} & {*node.needs}:
        return False
    asked = node.params.get("strategy")
    return asked is not None and strategy_of(asked).shares


def shared_by_pods(node: Node) -> bool:
    """Whether several pods may share the task: of evaluations those of networks, and not of the few items of a schedule."""
    if node.step == "evaluate":
        return node.params.get("run_kind") not in ("champion", "extended") and "features" not in node.needs
    return STEPS[node.step].sharded


def driver_needs(study: Study, defaults: StudyResources | None = None) -> Needs:
    """Of the driver: small, no GPU, and what holds for every pod."""
    layers = [_without(_set(each), COMPUTE | NOT_FOR_DRIVERS) for each in (defaults or StudyResources(), study.resources)]
    needs = _resolved(DRIVER, layers)
    queue = study.resources.driver_queue or (defaults.driver_queue if defaults else None)
    memory = study.resources.driver_memory or (defaults.driver_memory if defaults else None) or needs.memory
    return _replace(needs, {"queue": queue, "memory": memory})


def predict_needs(defaults: StudyResources, given: Mapping[str, Any]) -> Needs:
    """Of a prediction's pods: what the profile has for evaluating, then what the command line ``given``s."""
    own = defaults.steps.get(STEPS[PREDICT].resources_of)
    layers = [_set(defaults), _set(own) if own else {}, {name: value for name, value in given.items() if value is not None}]
    return _resolved(HEAVY, layers)


def lone_needs(node: Node, defaults: StudyResources) -> Needs:
    """Of a task of no study: built-in sizes, then what the profile has for its step."""
    own = defaults.steps.get(STEPS[node.step].resources_of or node.step)
    layers = [_without(_set(defaults), _not_for(node)), _set(own) if own else {}]
    return _replace(_resolved(_base(node), layers), {"shards": 1})


def _base(node: Node) -> Needs:
    """The built-in size of a task's pods."""
    return DATA if not STEPS[node.step].compute else LIGHT if node.weight == "light" else HEAVY


def parallelism(study: Study, defaults: StudyResources | None = None) -> int:
    """How many tasks one driver runs at once."""
    return study.resources.parallelism or (defaults.parallelism if defaults else None) or PARALLELISM


def deadline_s(study: Study, node: Node, defaults: StudyResources | None = None) -> int | None:
    """Run time of the task summed over resumes; the step itself keeps it."""
    run = _run_of(study, node)
    found: str | None = None
    for layer in (defaults, study.resources):
        step = layer.steps.get(node.step) if layer else None  #
        found = (step.deadline if step else None) or (layer.deadline if layer else None) or found
    found = (run.deadline if run else None) or found
    return seconds(found) if found else None


def with_limits(plan: Plan, study: Study, defaults: StudyResources | None = None) -> Plan:
    """The plan with ``resources.deadline``, and how many processes train together, as limits of each task: part of no key."""
    nodes = {}
    for name, node in plan.nodes.items():
        limit, needs = deadline_s(study, node, defaults), task_needs(study, node, defaults)
        own = {"deadline_s": limit} if limit else {}
        own |= {"nodes": needs.nodes, "gpu": needs.gpu} if needs.together and max(needs.nodes, needs.gpu) > 1 else {}
        nodes[name] = replace(node, limits={**node.limits, **own}) if own else node
    return replace(plan, nodes=nodes)


def seconds(text: str) -> int:
    """``90s``, ``5m``, ``2h``, ``7d`` in seconds."""
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match is None:
        raise ValueError(f"{text!r} is no duration")
    return int(match[1]) * SECONDS[match[2]]


def _not_for(node: Node) -> frozenset[str]:
    if not STEPS[node.step].compute:
        return COMPUTE
    on_cpus = node.step == "finetune" and bool({"features", TOGETHER} & {*node.needs})
    on_cpus = on_cpus or _hand_crafted(node)
    return FOR_GPUS if on_cpus or node.params.get("run_kind") == "champion" else frozenset()


def _hand_crafted(node: Node) -> bool:
    """Whether the task computes or judges hand-crafted features, which no GPU makes faster."""
    backbone = node.params.get("backbone") or node.params.get("model", {}).get("backbone") or {}
    return backbone.get("name") == HAND_CRAFTED or (node.step == "evaluate" and node.runs == (HAND_CRAFTED,))


def _run_of(study: Study, node: Node) -> Resources | None:
    """The resources of the run a task belongs to; a control has those of the run it is named after."""
    by_name = {run.name: run.resources for run in study.runs}
    if not STEPS[node.step].compute:
        return None
    return next((by_name[found] for run in node.runs if (found := _named_after(run, by_name)) is not None), None)


def _named_after(name: str, runs: Iterable[str]) -> str | None:
    starts = [run for run in runs if name == run or name.startswith(f"{run}-")]
    return max(starts, key=len, default=None)


def _set(resources: Resources) -> dict[str, Any]:
    """The fields that somebody set."""
    values = {name: getattr(resources, name) for name in Resources.model_fields}
    return {name: value for name, value in values.items() if value is not None}


def _without(values: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _resolved(base: Needs, layers: Iterable[dict[str, Any]]) -> Needs:
    values: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            values[name] = {**values.get(name, {}), **value} if name in MERGED else value
    if "cpu" in values:
        values["cpu"] = f"{values['cpu']:g}" if isinstance(values["cpu"], int | float) else values["cpu"]
    for name, target in (("give_up_after", "give_up_after_s"), ("ttl", "ttl_s")):
        if name in values:
            values[target] = seconds(values[name])
    return _replace(base, values)


def _replace(needs: Needs, values: dict[str, Any]) -> Needs:
    known = {each.name for each in fields(Needs)}
    return Needs(**{**needs.__dict__, **{name: value for name, value in values.items() if name in known}})
