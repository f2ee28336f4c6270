"""A loaded study and a store to all that decides its plan: the listing, the weights, the precision, the zero-label rows."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from tlbatch import nouns
from tlbatch.backbones.clip import text_tower
from tlbatch.backbones.imagenet import class_mapping
from tlbatch.datasets.describing import listing_facts, listing_lines
from tlbatch.datasets.inventory import list_source
from tlbatch.datasets.listing import Listing
from tlbatch.datasets.relabelling import list_corrected
from tlbatch.errors import DataError, StudyError
from tlbatch.planning.advice import make_advice_plan, resolve_candidates, resolve_pins
from tlbatch.planning.bounds import coarse_bounds
from tlbatch.planning.champion_tasks import ChampionState, check_class_bounds, resolve_champion
from tlbatch.planning.controls import Images, resolve_controls
from tlbatch.planning.described import described_rows
from tlbatch.planning.make import make_plan
from tlbatch.planning.plan import Plan
from tlbatch.planning.prompted import prompted_rows
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import ResolvedRun, resolve_runs, seen_in_pretraining
from tlbatch.planning.weights import ResolvedWeights, resolve_weights
from tlbatch.planning.zero_label import zero_labels
from tlbatch.schema.nearest import suggestion
from tlbatch.spec import LoadedStudy, Run, Study
from tlbatch.spec.curve import curve_cautions
from tlbatch.spec.dataset import rest_trains
from tlbatch.spec.episodes import held_out_classes
from tlbatch.spec.load import is_file_like
from tlbatch.store import Store

BF16_FLAGS = ("avx512_bf16", "amx_bf16")


def plan_study(loaded: LoadedStudy, store: Store, defence: ChampionState | None = None) -> tuple[ResolvedStudy, Plan]:
    """List the dataset, resolve the runs and make the plan. Reads the store (weights, earlier studies), writes nothing.

    With a ``defence`` (a schedule's firing) the plan also pins validation and test and decides about the champion.
    """
    if loaded.study.advise is not None:
        resolved = resolve_advice(loaded, store)
        return resolved, make_advice_plan(resolved)
    resolved = resolve(loaded, store, defence)
    return resolved, make_plan(resolved)


def resolve_advice(loaded: LoadedStudy, store: Store) -> ResolvedStudy:
    """As ``resolve``, of a study that asks for advice: its runs are the candidates, and nothing else follows from it."""
    study = loaded.study
    listing = list_corrected(study, store)
    check_parts(listing)
    runs = resolve_candidates(study, _weights_of(store), resolve_precision(study.resources.gpu))
    return ResolvedStudy(
        study=study,
        data=_listed(listing),
        runs=runs,
        document=document_of(loaded),
        corrections=_corrections(listing),
        pins=resolve_pins(study, store),
    )


def resolve(loaded: LoadedStudy, store: Store, defence: ChampionState | None = None) -> ResolvedStudy:
    """Everything a plan follows from. Raises StudyError or DataError with what is wrong in study, data or store."""
    study = loaded.study
    listed = list_corrected(study, store)
    held_out = held_out_classes(study, listed.classes)
    listing = replace(listed, classes=tuple(name for name in listed.classes if name not in held_out))
    check_parts(listing)
    check_scratch_labels(study, listing)
    check_class_weights(study, listing)
    data = replace(_listed(listed), classes=listing.classes)
    runs = resolve_runs(study, _weights_of(store), resolve_precision(study.resources.gpu))
    mapping = class_mapping(data.classes)
    covered = mapping is not None or any(class_mapping(classes) for classes in data.tasks.values())
    trained_on = next((run.weights.trained_on for run in runs if run.weights and run.weights.trained_on), "")
    check_class_bounds(study, data.classes, data.tasks)
    images = listed_images(study, listing)
    check_training_images(images, listing)
    described = described_rows(study, data.classes, runs, store)
    prompted = [] if data.tasks else prompted_rows(study, data.classes, runs)
    return ResolvedStudy(
        study=study,
        data=data,
        sources={name: _listed(list_source(name, each), name) for name, each in study.sources.items()},
        runs=runs,
        controls=resolve_controls(runs, images),
        zero_label=[*(zero_labels(runs, mapping) if mapping and not data.tasks else ()), *described, *prompted],
        seen=_seen(data, covered, trained_on, runs),
        document=document_of(loaded),
        corrections=_corrections(listing),
        defended=resolve_champion(defence, study, store, data.tasks) if defence is not None else None,
        held_out=held_out,
        images=images,
        cautions=(*coarse_bounds(study, listing), *curve_cautions(study)),
    )


def _seen(data: ListedData, covered: bool, trained_on: str, runs: Sequence[ResolvedRun]) -> dict[str, str]:
    """Whether test images may have been seen; {} where nothing is pretrained that has a name."""
    by_clip = [run for run in runs if run.pretrained and text_tower((run.model.get("backbone") or {}).get("name")) is not None]
    if not trained_on and not by_clip:
        return {}
    found = seen_in_pretraining(list(data.classes), covered, trained_on)
    web = sorted({run.weights.trained_on for run in by_clip if run.weights and run.weights.trained_on})
    if not web or found["level"] == "same images":
        return found
    why = f"{'; '.join(web)}: nobody compared these {nouns.items()} with them, and any that are on the web may be among them"
    return {**found, "why": why if trained_on in web else f"{found['why']}; {why}"}


def _listed(listing: Listing, source: str = "") -> ListedData:
    notes = tuple(f"{source}: {line}" if source else line for line in listing_lines(listing))
    facts = listing_facts(listing)
    return ListedData(listing.url, listing.classes, listing.digest, listing, facts, listing.tasks, len(listing.files), notes)


def check_scratch_labels(study: Study, listing: Listing) -> None:
    """Whether every class can have the labels that trainings of the curve ask for, as far as the listing tells.

    Raises StudyError, before anything is run: each of these numbers is a training. (Heads are fitted to as many as there are.)
    """
    curve = study.curve
    if curve is None or curve.scratch is None or curve.labels is None:
        return
    counts = Counter(label for label, part in listing.files.columns("label", "part") if part in (None, "train"))
    smallest = min(listing.classes, key=lambda name: (counts[name], name))
    labels = curve.scratch.labels or curve.labels
    if counts[smallest] < max(labels):
        met = [number for number in labels if number <= counts[smallest]]
        raise StudyError(
            f"curve.scratch: {smallest} has {nouns.count(counts[smallest])}, and {max(labels)} labels a class are asked for: "
            + (f"write curve.scratch.labels: {met}, or less, as some of them test" if met else "leave curve.scratch out")
        )


def check_class_weights(study: Study, listing: Listing) -> None:
    """Weights of classes that are not there would weigh nothing. Raises StudyError, before anything is run."""
    known = list(dict.fromkeys([*listing.classes, *(name for classes in listing.tasks.values() for name in classes)]))
    for number, run in enumerate(study.runs):
        weights = run.train.class_weights
        for name in weights if isinstance(weights, dict) else ():
            if name not in known:
                place = f"runs[{number}].train.class_weights"
                raise StudyError(f"{place}: the dataset has no class {name!r}{suggestion(name, known)}")


def check_training_images(images: Images, listing: Listing) -> None:
    """Whether every class can have one to train on, as far as the listing tells. Raises DataError, before anything is run."""
    if not listing.tasks and images.train < len(listing.classes):
        raise DataError(
            f"dataset.split: {nouns.count(images.train)} to train on, and {len(listing.classes)} classes: every class needs one"
        )


def check_parts(listing: Listing) -> None:
    """In ready-made parts every class must train and be tested. Raises DataError, before anything is run."""
    there = {(part, label) for part, label in listing.files.columns("part", "label") if part is not None}
    for part in ("train", "test") if there else ():
        missing = sorted(name for name in listing.classes if (part, name) not in there)
        if missing:
            some = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            raise DataError(
                f"{listing.url}: its {part} part has no {nouns.item()} of {some}: put some there, or leave the class out "
                "(dataset.classes)"
            )


def _corrections(listing: Listing) -> dict[str, int]:
    """How many labels were corrected and images left out by people; {} where none."""
    applied = {"corrected": listing.corrected, "left_out": listing.left_out}
    return applied if any(applied.values()) else {}


def listed_images(study: Study, listing: Listing) -> Images:
    """How many images each part has, as far as the listing tells: ready-made, drawn, or held out by folds."""
    split = study.dataset.split
    known = {*listing.classes}
    columns = listing.files.columns("part", "label", "problem")
    parts = Counter(part for part, label, problem in columns if not problem and label in known)
    ready = parts.total() > parts[None]
    pool = parts["train"] if ready else parts.total()

    def count(amount: float | None) -> int:
        return round(amount * pool) if isinstance(amount, float) else int(amount or 0)

    if ready:
        drawn = 0 if parts["validation"] else count(split.validation)
        train = max(0, pool - drawn)
        return Images(train=train, validation=parts["validation"] or drawn, test=parts["test"], unused=parts[None])
    held_out, test = count(split.validation), count(split.test)
    left = max(0, pool - held_out - test)
    train = left if rest_trains(split.train, split.validation, split.test) else count(split.train)
    unused = max(0, left - train)
    if split.folds is not None:
        held_out = max(1, (train + held_out) // split.folds)
    return Images(train=max(0, train), validation=held_out, test=test, unused=unused)


def _weights_of(store: Store) -> Callable[[Run], ResolvedWeights]:
    """``resolve_weights`` that hashes each file once."""
    known: dict[str, ResolvedWeights] = {}

    def weights_for(run: Run) -> ResolvedWeights:
        name = f"{run.model.backbone!r} {run.model.weights!r}"
        if name not in known:
            known[name] = resolve_weights(run, store)
        return known[name]

    return weights_for


def resolve_precision(gpus: int | None, cpu_flags: Callable[[], str] | None = None) -> str:
    """What ``precision: auto`` means: bf16 on GPUs and on CPUs that compute in it, else fp32."""
    flags = cpu_flags() if cpu_flags else _cpu_flags()
    return "bf16" if gpus or any(flag in flags for flag in BF16_FLAGS) else "fp32"


def _cpu_flags() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    return next((line for line in text.splitlines() if line.startswith("flags")), "")


def document_of(loaded: LoadedStudy) -> dict[str, Any]:
    """The study as the report shows it: without where the data lies and what the cluster gives, which change no result."""
    document = copy.deepcopy(loaded.document)
    document.pop("resources", None)
    document.pop("schedule", None)
    for dataset in (document.get("dataset", {}), *document.get("sources", {}).values()):
        for where in ("url", "follow_links"):
            dataset.pop(where, None)
    for run in document.get("runs", []):
        run.pop("resources", None)
    models = [run["model"] for run in document.get("runs", []) if "model" in run]
    for model in (*models, *document.get("advise", {}).get("candidates", ())):
        weights = model.get("weights")
        if isinstance(weights, str) and is_file_like(weights):
            model["weights"] = PurePosixPath(weights).name
    return document
