"""The plan of a study that asks for advice: prepare, one probe a candidate, advice. Pure but for the weights' resolution.

The advice task reads the probes alone, and these hold training and validation images alone: it cannot see a test label.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from tlbatch.backbones.catalogue import BackboneInfo, described
from tlbatch.backbones.top1 import published_top1
from tlbatch.contracts.advice import AdviseParams, AskedCandidate, ProbeParams
from tlbatch.contracts.models import Backbone
from tlbatch.errors import StudyError
from tlbatch.planning.champion_tasks import PIN, PINNED
from tlbatch.planning.make import given_of, plugins_of, prepare_node, weight_of
from tlbatch.planning.plan import Node, Plan, PlanBuilder
from tlbatch.planning.resolved import ResolvedStudy
from tlbatch.planning.runs import ResolvedRun, resolve_runs
from tlbatch.planning.weights import ResolvedWeights
from tlbatch.roles import DATASET
from tlbatch.spec import Run, Study
from tlbatch.spec.advise import FEWEST_IMAGES, Advise, Candidate
from tlbatch.spec.model import FromRun, Model
from tlbatch.store import Store
from tlbatch.store.artifacts import load_manifest
from tlbatch.store.names import is_part
from tlbatch.tasks import InputRef

FLOOR = "random"
RANDOM = ", random weights"
SECONDS_A_MILLION = 0.0042
"""Of one CPU core, for a million values that layers put out (Radosavovic et al. 2020: activations tell the time better than
operations do). Measured in float32 at 224 px, batches of 8, a core with AVX2, without decoding: MobileNetV2 0.0020,
EfficientNet-Lite0 0.0033, SqueezeNet 0.0036, ResNet-50 0.0092; so a factor of two to either side is to be expected."""
UNKNOWN_MILLIONS = 10.0
"""Assumed of a network that the catalogue does not describe."""


def resolve_candidates(study: Study, weights_for: Callable[[Run], ResolvedWeights], precision: str) -> list[ResolvedRun]:
    """The candidates, fed as their weights were trained, then the floor: the one with fewest parameters, random."""
    asked = asked_of(study)
    runs = [_run(candidate, name) for candidate, name in zip(asked.candidates, names_of(asked.candidates), strict=True)]
    floor = min(asked.candidates, key=lambda each: _parameters(_info(each.backbone)) or 10**12)
    if not any(candidate.weights == "random" for candidate in asked.candidates) and isinstance(floor.backbone, str):
        runs.append(_run(Candidate(backbone=floor.backbone, weights="random"), f"{FLOOR}-{_slug(floor)}"))
    return resolve_runs(study.model_copy(update={"runs": tuple(runs)}), weights_for, precision)


def resolve_pins(study: Study, store: Store) -> InputRef | None:
    """The artifact that ``advise.pinned`` names. Raises StudyError where it is not in this store."""
    key = asked_of(study).pinned
    if key is None:
        return None
    manifest = load_manifest(store, PIN, key) if is_part(key) else None
    if manifest is None:
        raise StudyError(
            f"advise.pinned: {store.url} has no artifact {PIN}/{key}: leave it out, or ask `tlbatch advise` for the study with "
            "the schedule, which names it"
        )
    return InputRef(PIN, key, manifest.digest)


def asked_of(study: Study) -> Advise:
    """What the study asks; only called of one that asks for advice."""
    assert study.advise is not None
    return study.advise


def make_advice_plan(resolved: ResolvedStudy) -> Plan:
    """``resolved.runs`` are the candidates."""
    builder = PlanBuilder(resolved.study.name)
    prepared = builder.add(prepare_node(DATASET, resolved.study.dataset, resolved.data))
    images = images_asked(resolved)
    probes = {f"probe:{run.name}": builder.add(_probe(resolved, run, prepared, images)) for run in resolved.runs}
    builder.add(Node("advise", "advise", _advise_params(resolved).as_json(), probes, weight="light", shape="advise"))
    return builder.build()


def images_asked(resolved: ResolvedStudy) -> int | None:
    """At most so many images; ``seconds`` by an estimate that is the same on every machine, so that the key is, too."""
    asked = asked_of(resolved.study)
    if asked.seconds is None:
        return asked.images
    per_image = sum(SECONDS_A_MILLION * (work_of(run) or UNKNOWN_MILLIONS) for run in resolved.runs)
    affordable = max(FEWEST_IMAGES, int(asked.seconds / per_image))
    return min(affordable, asked.images) if asked.images else affordable


def work_of(run: ResolvedRun) -> float | None:
    """Millions of values that the network's layers put out for an image of its own size; None where that is not known."""
    info = described(run.model["backbone"]["name"])
    kept = sum(stage.kept for stage in info.stages) if info else 0
    return float(round(kept / 4e6 * (run.input["size"] / 224) ** 2, 3)) if kept else None


def _probe(resolved: ResolvedStudy, run: ResolvedRun, prepared: str, images: int | None) -> Node:
    given = given_of(run)
    if resolved.pins is not None:
        given["given"] = {**given["given"], **dict.fromkeys(PINNED, resolved.pins)}
    params = ProbeParams(
        **resolved.division,
        backbone=Backbone.of(run.model["backbone"]),
        layers="all",
        input=run.input,
        precision=run.precision,
        images=images,
        **plugins_of(run.added_to_features),
    )
    name = run.model["backbone"]["name"] or "source"
    return Node(
        name=f"probe:{run.name}",
        step="probe",
        params=params.as_json(),
        needs={DATASET: prepared},
        weight=weight_of(run),
        runs=(run.name,),
        shape=f"probe:{name}:{run.kind.measure(run.input)} an item",
        units=float(max(1, min(images or resolved.data.files, resolved.data.files))),
        **given,
    )


def _advise_params(resolved: ResolvedStudy) -> AdviseParams:
    asked = asked_of(resolved.study)
    candidates = [_asked(run, place, asked) for place, run in enumerate(resolved.runs)]
    return AdviseParams(
        study=resolved.study.name, classes=resolved.data.classes, layers=asked.layers, candidates=tuple(candidates)
    )


def _asked(run: ResolvedRun, place: int, asked: Advise) -> AskedCandidate:
    name, weights = run.model["backbone"]["name"], run.model["backbone"]["weights"]
    top1, of = published_top1(name, weights)
    floor = not run.pretrained
    return AskedCandidate(
        name=run.name,
        title=_title(asked.candidates, place) if place < len(asked.candidates) else f"{name}{RANDOM}",
        floor=floor,
        asked=place if place < len(asked.candidates) else None,
        backbone=name,
        parameters=_parameters(_info(name)),
        top1=None if floor else top1,
        top1_of="" if floor else of,
        work=work_of(run),
        input=run.input,
    )


# -- names ----------------------------------------------------------------------------------------------------------------


def names_of(candidates: Sequence[Candidate]) -> list[str]:
    """For tasks: each another one."""
    slugs = [_slug(candidate) for candidate in candidates]
    times, names = Counter(slugs), []
    for place, slug in enumerate(slugs):
        names.append(f"{slug}-{slugs[: place + 1].count(slug)}" if times[slug] > 1 else slug)
    return names


def _title(candidates: Sequence[Candidate], place: int) -> str:
    """For people: the backbone, and its weights where another pretrained candidate has others of it."""
    own = candidates[place]
    backbone = own.backbone.from_ if isinstance(own.backbone, FromRun) else own.backbone
    if own.weights == "random":
        return f"{backbone}{RANDOM}"
    alone = sum(each.backbone == own.backbone and each.weights != "random" for each in candidates) == 1
    return backbone if alone else f"{backbone} ({own.weights.rpartition('/')[2]})"


def _slug(candidate: Candidate) -> str:
    name = candidate.backbone.from_ if isinstance(candidate.backbone, FromRun) else candidate.backbone
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")


def _run(candidate: Candidate, name: str) -> Run:
    model = Model(backbone=candidate.backbone) if isinstance(candidate.backbone, FromRun) else Model(**dict(candidate))
    return Run(name="x", model=model).model_copy(update={"name": name})  # one that may be longer than a study's own


def _info(backbone: str | FromRun | None) -> BackboneInfo | None:
    return described(backbone) if isinstance(backbone, str) else None


def _parameters(info: BackboneInfo | None) -> int | None:
    return info.parameters if info else None
