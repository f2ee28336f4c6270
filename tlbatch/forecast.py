"""What a study would do, told without doing it: nothing is written, no image is read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tlbatch.backbones.catalogue import BackboneInfo, described
from tlbatch.backbones.handcrafted import HAND_CRAFTED, feature_count
from tlbatch.backends.cores import cores_for, memory_to_share_mib
from tlbatch.execution.rates import estimate_s
from tlbatch.manifests.needs import driver_needs, task_needs
from tlbatch.memory import dense_parameters, driver_mib, fitting_piece, forecast_mib, head_parameters, measured
from tlbatch.planning import Node, Plan
from tlbatch.planning.resolved import ResolvedStudy
from tlbatch.planning.runs import ResolvedRun
from tlbatch.prices import Prices
from tlbatch.quantities import amount, mebibytes
from tlbatch.spec import Study
from tlbatch.spec.added import added_name
from tlbatch.spec.resources import StudyResources
from tlbatch.steps import STEPS
from tlbatch.store import Store
from tlbatch.store.artifacts import load_manifest
from tlbatch.strategies import settings_of
from tlbatch.tasks import InputRef

CACHED, TO_RUN, AFTER = "cached", "to run", "known after"
DRIVER = "driver"


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
    """Estimated seconds on ``cores`` cores, of which each task has its own part; how many tasks have no estimate."""
    memory, cores, total, unknown = memory_to_share_mib(), max(1, cores), 0.0, 0
    for line in lines:
        if line.seconds is None:
            unknown += 1
        else:
            total += line.seconds * cores_for(nodes[line.name], cores, memory) / cores
    return total, unknown


def costs_of(
    lines: Iterable[Forecast], plan: Plan, study: Study, prices: Prices, defaults: StudyResources | None = None
) -> list[float | None]:
    """Of each line, in the prices' currency: what its pod asks for, by the hour, for as long as is estimated.

    0 of what is cached, None where there is no estimate. ``defaults``: the context's resources.
    """
    return [
        None if line.seconds is None else prices.cost(task_needs(study, plan.nodes[line.name], defaults), line.seconds)
        for line in lines
    ]


@dataclass(frozen=True)
class Memory:
    """MiB of main memory a task holds at most, and what its pod would get; ``needed`` is None where it is not known.

    ``fitting``: images that could go through a network at once in what its pod gets (train.micro_batch_size), fewer than now.
    """

    task: str
    needed_mib: int | None
    given_mib: int
    on_gpu: bool = False
    step: str = "finetune"
    fitting: int | None = None

    @property
    def warning(self) -> str | None:
        """A sentence where the pod would get less."""
        if self.needed_mib is None or self.on_gpu or self.needed_mib <= self.given_mib:
            return None
        return (
            f"{self.task}: needs about {gibibytes(self.needed_mib)} of memory and a pod of it gets "
            f"{gibibytes(self.given_mib)}, so it would be killed there: {self._way_out}"
        )

    @property
    def _way_out(self) -> str:
        if self.step == DRIVER:
            return "raise resources.driver_memory"
        if self.fitting is not None:
            pieces = f"set train.micro_batch_size: {self.fitting}, which computes the same batches in pieces"
            return f"raise resources.memory, or {pieces}, or lower input.size"
        if STEPS[self.step].compute:
            return "raise resources.memory, or lower train.batch_size or input.size"
        return f"raise resources.steps.{self.step}.memory"


def memory_facts(resolved: ResolvedStudy, plan: Plan) -> list[Memory]:
    """A line for every task, in the plan's order."""
    lines = []
    for node in plan:
        needs = task_needs(resolved.study, node)
        cores, given = math.ceil(amount(needs.cpu_limit or needs.cpu)), mebibytes(needs.memory)
        held = forecast_mib(node, resolved, cores)
        fitting = fitting_piece(node, resolved, given) if held is not None and held > given else None
        lines.append(Memory(node.name, held, given, bool(needs.gpu), node.step, fitting))
    return lines


def driver_memory(resolved: ResolvedStudy, defaults: StudyResources | None = None) -> Memory:
    """The driver's. ``defaults``: the context's resources."""
    given = mebibytes(driver_needs(resolved.study, defaults).memory)
    return Memory("the driver", driver_mib(resolved), given, step=DRIVER)


def gibibytes(mib: int) -> str:
    """1536 -> '1.5 GiB'."""
    return f"{mib / 1024:.1f} GiB"


@dataclass(frozen=True)
class RunFacts:
    """What of a run's network is trained. Numbers are None where only building the network would tell.

    ``parameters`` counts what is trained, the head included; ``features`` what an image puts into the head.
    """

    name: str
    network: str
    strategy: str
    input: str
    precision: str
    trainable: tuple[str, ...]
    frozen: tuple[str, ...]
    parameters: int | None
    features: int | None
    role: str = "run"


def run_facts(resolved: ResolvedStudy) -> list[RunFacts]:
    """A line for every run and control."""
    classes = len(resolved.data.classes)
    return [_facts(run, classes) for run in [*resolved.runs, *resolved.controls]]


def _facts(run: ResolvedRun, classes: int) -> RunFacts:
    blank = RunFacts(
        name=run.name,
        network="an earlier study's",
        strategy=run.strategy_entry.label(settings_of(run.strategy)),
        input=run.kind.describe(run.input),
        precision=run.precision,
        trainable=("head",) if run.on_features else ("…", "head"),
        frozen=(),
        parameters=None,
        features=None,
        role=f"control of {', '.join(run.control_for)}" if run.control_for else "run",
    )
    if "scratch" in run.model:
        return _scratch_facts(blank, run, classes)
    name = run.model["backbone"]["name"]
    if name == HAND_CRAFTED:
        return replace(blank, network="none", features=feature_count(run.input["size"]))
    info = described(name)
    return _backbone_facts(blank, run, info, classes) if info else replace(blank, network=name or blank.network)


def _scratch_facts(blank: RunFacts, run: ResolvedRun, classes: int) -> RunFacts:
    scratch = run.model["scratch"]
    if (name := added_name(scratch)) is not None:
        found = measured(run)
        if found is None:
            return replace(blank, network=name)
        whole = found.parameters + dense_parameters([found.features, classes])
        return replace(blank, network=name, parameters=whole, features=found.features)
    hidden = [f"{kind}{i + 1}" for kind, many in (("conv", "channels"), ("dense", "dense")) for i in range(len(scratch[many]))]
    features, parameters = scratch_size(scratch, run.input["size"], 1 if run.input["grayscale"] else 3, classes)
    return replace(blank, network="scratch CNN", trainable=(*hidden, "head"), parameters=parameters, features=features)


def _backbone_facts(blank: RunFacts, run: ResolvedRun, info: BackboneInfo, classes: int) -> RunFacts:
    used = info.stages_to(run.model["layer"])
    unfrozen = run.strategy_entry.learning(settings_of(run.strategy), [stage.name for stage in used])
    frozen = tuple(stage.name for stage in used if stage.name not in unfrozen)
    features = _feature_size(info, run, run.input["size"])
    parameters = sum(stage.parameters for stage in used if stage.name in unfrozen)
    of_head = None if features is None else head_parameters(run.model["head"], features, classes)
    known = None if of_head is None else parameters + of_head
    return replace(blank, network=info.name, trainable=(*unfrozen, "head"), frozen=frozen, parameters=known, features=features)


def scratch_size(scratch: Mapping[str, Any], size: int, channels: int, classes: int) -> tuple[int, int]:
    """Values that the last convolution leaves of an image, and all parameters (batch norm: two a channel)."""
    parameters, side = 0, size
    norm = 2 if scratch["batch_norm"] else 0
    for out in scratch["channels"]:
        parameters += (channels * scratch["kernel"] ** 2 + 1 + norm) * out
        side = (side if scratch["padding"] == "same" else side - scratch["kernel"] + 1) // 2
        channels = out
    flat = channels * side * side
    return flat, parameters + dense_parameters([flat, *scratch["dense"], classes])


def _feature_size(info: BackboneInfo, run: ResolvedRun, size: int) -> int | None:
    shape = info.feature_shape(run.model["layer"], size)
    if shape is None:
        return None
    return math.prod(shape) if run.model["pool"] == "flatten" else int(shape[0])
