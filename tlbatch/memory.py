"""What a task holds in main memory at its most, forecast from what the plan knows. No torch, nothing is run.

Formulas with measured constants; docs/memory.md says how they were measured, and beside which measurements they stand.
They are for tasks that compute on CPUs: what a GPU computes with lies in its own memory. Sizes in bytes unless named MiB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any

from tlbatch.backbones.catalogue import MEASURED_AT, BackboneInfo, StageInfo, described
from tlbatch.backbones.handcrafted import HAND_CRAFTED, feature_count
from tlbatch.contracts.data import SHARED_FROM
from tlbatch.entries import Measures
from tlbatch.kinds import fed_shape
from tlbatch.planning import Node
from tlbatch.planning.advice import images_asked
from tlbatch.planning.controls import LEAST_BATCH
from tlbatch.planning.curve_task import scratch_runs
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import ResolvedRun
from tlbatch.plugins import call, find
from tlbatch.roles import DATASET, source_input, task_of
from tlbatch.spec.added import added_name
from tlbatch.spec.dataset import Dataset, Source
from tlbatch.spec.model import fitted_head
from tlbatch.steps import STEPS
from tlbatch.strategies import settings_of

MIB = 2**20
LIBRARIES_MIB = 760
"""A process that has imported torch and what belongs to it, before it has made anything."""
TORCH_MIB = 450
"""Of these, torch alone: what tasks hold less that do without it."""
WEIGHTS_TRAINED = {"sgd": 5.0, "rmsprop": 5.0, "adam": 6.0, "adamw": 6.0}
"""Copies of what learns: itself, its gradients, the optimiser's state, the best epoch's and a checkpoint's."""
ENGINE_MIB = 150
"""What runs forward passes on a CPU (OpenVINO), loaded, with a network's graph and what it compiled of it."""
WEIGHTS_FED, WEIGHTS_COMPILED = 2.0, 1.0
"""Copies of weights that do not learn: as read from their file, and in the network; and laid out anew for the CPU's kernels."""
WORKING_TRAINED, WORKING_FED = 0.5, 1.2
"""Of a stage's largest layer (in and out), an image: beside what is kept while training, and in a forward pass alone."""
IN_BFLOAT16 = 0.6
"""Of these, what is held where layers compute in bfloat16: some of them do not."""
VALIDATION_BATCH, EXTRACTION_BATCH, THREADS = 64, 8, 2
SEARCHER_MIB = 150
"""One of the processes that share a search for near copies, beside what all of them map. Measured: docs/large.md."""
PREPARED_BYTES, INDEX_BYTES = 1100, 900
"""Of a listed file: while it is prepared; in an index that is read and divided. Measured: docs/large.md."""
DRIVER_MIB, LISTED_BYTES, LINE_BYTES = 120, 260, 300
"""A driver; and of each file that it lists, and of each line of a CSV file of labels. Measured: docs/large.md."""
IMAGES_IN_MEMORY = 2 * 2**30  # of one part; more lie in a file
RUN_ONCE_FROM, RUN_ONCE_BYTES = 256, 256 * 2**20
"""Images in all epochs from which on frozen stages are run once; what of their outputs is in memory, more lies in a file."""
IMAGENET_CLASSES = 1000
FEATURE_COPIES = 6.0  # of float32 features: as read, and in float64 as they are and standardised
JUDGED_BYTES = 4.0  # of each item and class, where labels are judged: what is said of a fold that is held out; measured: 3
REPORTED_CLASS_MIB = 0.4  # of each class in a report, whose figures of all pairs grow; measured of 1,000: 935 in all
MIXED_COPIES = 3.0  # of a batch's inputs in float32: as varied, as normalised, and what is made meanwhile
ALIGNED_COPIES = 12.0  # likewise of two domains, before and after they were brought together; measured: 8 to 10
PAIR_BYTES, PAIRED = 24, 3000  # of two domains' images at most, what optimal transport holds of each pair; measured: 16 to 24


@dataclass(frozen=True)
class Network:
    """Bytes: of all weights, of those that learn, and of an image in float32: kept for the backward pass, working.

    ``learns``: working, where the backward pass goes; of a network with frozen stages before it less than of the whole.
    """

    weights: float
    learning: float
    kept: float
    working: float
    learns: float


def forecast_mib(node: Node, resolved: ResolvedStudy, cores: int = 1) -> int | None:
    """MiB at most, with so many cores; None where it is not known: a network that the catalogue does not describe."""
    held = _held(node, resolved)
    return None if held is None else held + round(_listed(node, resolved) / MIB) + _sharing(node, resolved, cores)


def fitting_piece(node: Node, resolved: ResolvedStudy, given_mib: int) -> int | None:
    """The largest power of two of images that a training could compute at once in so much memory, fewer than it would now.

    None where not even two of them fit (of a control: no more than it would take, whatever its run says), or the task trains
    nothing that batches go through in pieces.
    """
    run = next((run for run in [*resolved.runs, *resolved.controls] if run.name in node.runs), None)
    if node.step != "finetune" or run is None or run.on_features or not run.strategy_entry.in_pieces:
        return None
    size = 1 << max(0, (run.train.at_once - 1).bit_length() - 1)
    while size >= (LEAST_BATCH if run.control_for else 2):
        train = run.train.model_copy(update={"micro_batch_size": size})
        held = forecast_mib(node, _with(resolved, replace(run, train=train)))
        if held is not None and held <= given_mib:
            return size
        size //= 2
    return None


def _with(resolved: ResolvedStudy, run: ResolvedRun) -> ResolvedStudy:
    """The same study with this run, or control, in place of the one of its name."""

    def changed(runs: Sequence[ResolvedRun]) -> list[ResolvedRun]:
        return [run if each.name == run.name else each for each in runs]

    return replace(resolved, runs=changed(resolved.runs), controls=changed(resolved.controls))


def driver_mib(resolved: ResolvedStudy) -> int:
    """MiB that the study's driver holds at most: while it lists what there is."""
    listed: list[tuple[Dataset | Source, ListedData]] = [(resolved.study.dataset, resolved.data)]
    listed += [(resolved.study.sources[name], data) for name, data in resolved.sources.items()]
    sizes = (data.files * (LISTED_BYTES + (LINE_BYTES if dataset.labels else 0)) for dataset, data in listed)
    return DRIVER_MIB + round(sum(sizes) / MIB)


def _listed(node: Node, resolved: ResolvedStudy) -> int:
    """Bytes that grow with how many files are listed of the datasets that a task prepares, or reads prepared."""
    files = _files(resolved)
    if node.name in files:
        return PREPARED_BYTES * files[node.name]
    return INDEX_BYTES * sum(files.get(name, 0) for name in set(node.needs.values()))


def _files(resolved: ResolvedStudy) -> dict[str, int]:
    """How many are listed of the dataset that each prepare task reads, by the task's name."""
    files = {task_of("prepare", DATASET): resolved.data.files}
    return files | {task_of("prepare", source_input(name)): data.files for name, data in resolved.sources.items()}


def _sharing(node: Node, resolved: ResolvedStudy, cores: int) -> int:
    """MiB of the processes that share a search for near copies among pictures, one a core."""
    if node.step not in ("prepare", "overlap") or node.params.get("kind") or not node.params.get("near_duplicates", True):
        return 0
    files = _files(resolved)
    pictures = files.get(node.name) or sum(files.get(name, 0) for name in set(node.needs.values()))
    return SEARCHER_MIB * cores if cores > 1 and pictures >= SHARED_FROM else 0


def _held(node: Node, resolved: ResolvedStudy) -> int | None:
    """MiB but for what grows with the number of files alone."""
    fixed = STEPS[node.step].memory_mib
    if fixed is not None:
        return fixed + round(REPORTED_CLASS_MIB * len(resolved.data.classes)) if node.step == "report" else fixed
    if node.step == "suspects":
        return _suspects(node, resolved)
    if node.step in ("curve", "episodes"):
        return _curve(node, resolved)
    run = next((run for run in [*resolved.runs, *resolved.controls, *scratch_runs(resolved)] if run.name in node.runs), None)
    images = sum(data.files for data in _read(run, node, resolved))
    if node.step == "advise":
        return _advise(resolved, images)
    if run is None:
        return _zero_label(node)
    if node.step == "finetune":
        return _finetune(run, images, len(resolved.data.classes), len(_read(run, node, resolved)))
    if run.on_features and node.step == "evaluate":
        dim = feature_size(run)
        return None if dim is None else _mib(FEATURE_COPIES * 4 * dim * images)
    network = network_of(run, len(resolved.data.classes))
    if network is None:
        return None
    several = node.step == "evaluate" and len(node.params["seeds"]) * (node.params["folds"] or 1) > 1
    return _forward(network.weights, network.working) + round(several * _pixels(run, images) / MIB)


def _forward(weights: float, working: float) -> int:
    """Networks that are run forward, one after the other: a few batches of items are there at a time."""
    batches = EXTRACTION_BATCH * THREADS * WORKING_FED * working
    return _mib(ENGINE_MIB * MIB + (WEIGHTS_FED + WEIGHTS_COMPILED) * weights + batches)


def _read(run: ResolvedRun | None, node: Node, resolved: ResolvedStudy) -> list[ListedData]:
    """The datasets whose images a task holds: a training has those of the sources that it reads, too."""
    sources = node.step == "finetune" and run is not None and run.strategy_entry.reads_sources
    return [resolved.data, *(resolved.sources.values() if sources else ())]


def _finetune(run: ResolvedRun, images: int, classes: int, domains: int = 1) -> int | None:
    """``domains``: a batch of each goes through the network before gradients come back."""
    if run.on_features:
        dim = feature_size(run)
        if dim is not None and run.strategy_entry.reads_sources:
            return _mib(ALIGNED_COPIES * 4 * dim * images * (run.views + 1) + PAIR_BYTES * min(images, PAIRED) ** 2)
        return None if dim is None else _mib(FEATURE_COPIES * 4 * dim * images * (run.views + 1))
    network = network_of(run, classes)
    if network is None:
        return None
    frozen = network.weights - network.learning
    copies = WEIGHTS_TRAINED[run.train.optimizer] + bool(settings_of(run.strategy).get("l2_sp"))  # which keeps the start, too
    beside = 4.0 * run.strategy_entry.beside(settings_of(run.strategy), _features(run))
    weights = copies * (network.learning + beside) + WEIGHTS_FED * frozen
    return _mib(weights + _passes(run, network, frozen, images, domains) + _mixed(run) + _pixels(run, images))


def _passes(run: ResolvedRun, network: Network, frozen: float, images: int, domains: int) -> float:
    """Batches there and back, and those of validation beside them: the C library keeps what batches left for batches alike.

    Before them come frozen stages: in every batch, or once.
    """
    n = run.train.at_once
    there_and_back = n * (domains * network.kept + WORKING_TRAINED * network.learns)
    judged = min(n, VALIDATION_BATCH) * WORKING_FED * network.learns
    before = n * WORKING_FED * network.working if frozen else 0.0
    type_ = IN_BFLOAT16 if run.precision == "bf16" else 1.0
    return type_ * (there_and_back + judged) + max(type_ * before, _run_once(run, network, frozen, images))


def _mixed(run: ResolvedRun) -> float:
    """The inputs of a whole batch, where its pieces are mixed of all of them."""
    in_pieces = run.train.micro_batch_size is not None and (run.train.mixup or run.train.cutmix)
    return MIXED_COPIES * 4.0 * prod(fed_shape(run.input)) * run.train.batch_size if in_pieces else 0.0


def _run_once(run: ResolvedRun, network: Network, frozen: float, images: int) -> float:
    """What runs stages that never learn before the first epoch, and what is kept of their outputs (jobs.strategies.frozen)."""
    if not frozen or not run.strategy_entry.frozen_once or run.train.epochs * images < RUN_ONCE_FROM:
        return 0.0
    return ENGINE_MIB * MIB + WEIGHTS_COMPILED * frozen + min(RUN_ONCE_BYTES, network.learns * images)


def _advise(resolved: ResolvedStudy, images: int) -> int | None:
    """The rows of one candidate at a time, and copies of its widest layer. Test images among ``images`` are counted, too."""
    infos = [described(run.model["backbone"]["name"]) for run in resolved.runs]
    wide = [[layer.channels for layer in info.layers] for info in infos if info is not None]
    if len(wide) < len(infos):
        return None
    read = min(images, images_asked(resolved) or images)
    return _mib(4.0 * read * max(sum(each) + IMAGENET_CLASSES + FEATURE_COPIES * max(each) for each in wide))


def _curve(node: Node, resolved: ResolvedStudy) -> int | None:
    """Of the run with the widest features: they are held one run after the other."""
    images = resolved.data.files
    sizes = [(feature_size(run), run.views + 1) for run in resolved.runs if run.name in node.runs]
    known = [dim * views for dim, views in sizes if dim is not None]
    return _mib(FEATURE_COPIES * 4 * images * max(known)) - TORCH_MIB if len(known) == len(sizes) else None


def _suspects(node: Node, resolved: ResolvedStudy) -> int | None:
    """The widest of the features that may judge, and what is said of every item and class."""
    images, classes = resolved.data.files, len(node.params["classes"])
    sizes = [feature_size(run) for run in resolved.runs if run.name in node.runs]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return None
    return _mib(images * (FEATURE_COPIES * 4 * max(known) + JUDGED_BYTES * classes)) - TORCH_MIB


def _zero_label(node: Node) -> int | None:
    backbone, size = node.params.get("backbone") or {}, (node.params.get("input") or {}).get("size")
    info = described(backbone.get("name"))
    if info is None or size is None:
        return None
    working = max(stage.working for stage in info.stages) * _area(size)
    beside = WEIGHTS_FED if node.params.get("prompted") else 1.0  # a text tower that is used, or only read with the rest
    return _forward(4.0 * info.parameters, working) + round(4 * beside * info.beside / MIB)


def _mib(bytes_: float) -> int:
    return round(LIBRARIES_MIB + bytes_ / MIB)


def _area(size: int) -> float:
    return float((size / MEASURED_AT) ** 2)


def _pixels(run: ResolvedRun, images: int) -> float:
    return float(min(IMAGES_IN_MEMORY, images * run.kind.item_bytes(run.input)))


# -- networks -------------------------------------------------------------------------------------------------------------


def network_of(run: ResolvedRun, classes: int) -> Network | None:
    """What the run's network holds; None where the catalogue does not describe it."""
    if "scratch" in run.model:
        scratch = run.model["scratch"]
        return _added(run, classes) if added_name(scratch) else _scratch(scratch, run.input, classes)
    name = run.model["backbone"]["name"]
    if name == HAND_CRAFTED:
        return Network(0, 0, 0, 64 * 2**10, 0)
    info = described(name)
    return None if info is None or not any(stage.working for stage in info.stages) else _backbone(run, info, classes)


def _backbone(run: ResolvedRun, info: BackboneInfo, classes: int) -> Network:
    used = info.stages_to(run.model["layer"])
    first = _first_learning(run, used)
    learning = {stage.name for stage in _learning(run, used)}
    head = head_parameters(run.model["head"], feature_size(run) or 0, classes) or 0
    weights = 4.0 * (sum(stage.parameters for stage in used) + head + info.beside / WEIGHTS_FED)
    trained = 4.0 * (sum(stage.parameters for stage in used if stage.name in learning) + head)
    area = _area(run.input["size"])
    kept = area * sum(stage.kept for stage in used[first:])
    learns = max((stage.working for stage in used[first:]), default=0)
    return Network(weights, trained, kept, area * max(stage.working for stage in used), area * learns)


def _learning(run: ResolvedRun, used: Sequence[StageInfo]) -> list[StageInfo]:
    """The stages that learn at some time."""
    learning = run.strategy_entry.learning(settings_of(run.strategy), [stage.name for stage in used])
    return [stage for stage in used if stage.name in learning]


def _first_learning(run: ResolvedRun, used: Sequence[StageInfo]) -> int:
    """Where the backward pass ends: from here on everything is kept, also of frozen stages between."""
    learning = {stage.name for stage in _learning(run, used)}
    return next((place for place, stage in enumerate(used) if stage.name in learning), len(used))


def _scratch(scratch: Mapping[str, Any], input: Mapping[str, Any], classes: int) -> Network:
    """A convolution's output, the pool's (float32) and its places (int64) are kept, with BatchNorm the output twice."""
    channels, side = 1 if input["grayscale"] else 3, int(input["size"])
    kept, working, parameters = 4.0 * channels * side**2, 0.0, 0
    for wide in scratch["channels"]:
        out = side if scratch["padding"] == "same" else side - scratch["kernel"] + 1
        working = max(working, 4.0 * (channels * side**2 + wide * out**2))
        kept += 4.0 * wide * out**2 * (2 if scratch["batch_norm"] else 1) + 12.0 * wide * (out // 2) ** 2
        parameters += (channels * scratch["kernel"] ** 2 + 1) * wide
        side, channels = out // 2, wide
    parameters += dense_parameters([channels * side**2, *scratch["dense"], classes])
    return Network(4.0 * parameters, 4.0 * parameters, kept, working, working)


def measured(run: ResolvedRun) -> Measures | None:
    """What a plug-in says of its scratch network; None where it says nothing."""
    ((name, settings),) = run.model["scratch"].items()
    found: Measures | None = call(name, find("networks", name).measures, fed_shape(run.input), settings)
    return found


def _features(run: ResolvedRun) -> int:
    """Values that an image puts into the head of a network that is trained; 0 where they are not known."""
    if "scratch" not in run.model:
        return feature_size(run) or 0
    scratch = run.model["scratch"]
    if added_name(scratch):
        return found.features if (found := measured(run)) else 0
    return scratch["dense"][-1] if scratch["dense"] else _flat(scratch, run.input)


def _flat(scratch: Mapping[str, Any], input: Mapping[str, Any]) -> int:
    """Values of the last convolution's map."""
    side = int(input["size"])
    for _ in scratch["channels"]:
        side = (side if scratch["padding"] == "same" else side - scratch["kernel"] + 1) // 2
    return int(scratch["channels"][-1] * side**2)


def _added(run: ResolvedRun, classes: int) -> Network | None:
    found = measured(run)
    if found is None:
        return None
    weights = 4.0 * (found.parameters + dense_parameters([found.features, classes]))
    return Network(weights, weights, found.kept, found.working, found.working)


def head_parameters(head: Mapping[str, Any], features: int, classes: int) -> int | None:
    """Weights and biases of a head as a plan has it; None where it is a plug-in's that does not say."""
    if (name := added_name(head)) is None:
        kept = {"prototypes": features * classes, "knn": 0}  # images that it keeps are no weights
        return kept.get(fitted_head(head) or "", dense_parameters([features, *head["dense"], classes]))
    found: int | None = call(name, find("heads", name).parameters, features, classes, head[name])
    return found


def feature_size(run: ResolvedRun) -> int | None:
    """Values that an image puts into the head; None where they are not known."""
    name = (run.model.get("backbone") or {}).get("name")
    if name == HAND_CRAFTED:
        return feature_count(run.input["size"])
    info = described(name)
    shape = info.feature_shape(run.model["layer"], run.input["size"]) if info else None
    if shape is None:
        return None
    total = 1
    for value in shape if run.model["pool"] == "flatten" else shape[:1]:
        total *= value
    return total


def dense_parameters(widths: Sequence[int]) -> int:
    """Weights and biases of dense layers between these widths."""
    return sum((before + 1) * after for before, after in pairwise(widths))
