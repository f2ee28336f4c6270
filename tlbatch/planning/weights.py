"""Which weights a run starts from, resolved when the plan is made: what goes into the key, and where the bytes are."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlbatch.backbones.catalogue import BackboneInfo, OtherInfo, WeightInfo, info_of, weights_of
from tlbatch.backbones.clip import other_activation
from tlbatch.backbones.names import backbone_hint
from tlbatch.backbones.weightfiles import FOLDER, STORE_PREFIX, Place, fetch, find_weight, place_of
from tlbatch.errors import StudyError
from tlbatch.plugins import installed
from tlbatch.schema.nearest import suggestion
from tlbatch.spec.load import is_file_like
from tlbatch.spec.model import FromRun
from tlbatch.spec.study import Run
from tlbatch.store import Store
from tlbatch.store.artifacts import file_sha256
from tlbatch.tasks import InputRef

RANDOM_SEED = 0
IMAGENET = "ImageNet-1k"
IMAGENET_CLASSES = 1000
TOKENS = "token_embedding.weight"
LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class ResolvedWeights:
    """Which weights (part of the key) and where their bytes are (not part of it). ``source`` is an earlier study's model.

    ``texts``: whether those of a CLIP network hold its text tower, as far as can be told without opening them.
    """

    params: dict[str, Any]
    location: str | None = None
    own_input: dict[str, Any] = field(default_factory=dict)
    source: InputRef | None = None
    trained_on: str = ""
    texts: bool = True


def resolve_weights(run: Run, store: Store) -> ResolvedWeights:
    """The weights of a run with a backbone. Reads files to hash them; downloads only what a study names by URL.

    Raises StudyError for unknown weights, files that are not there and earlier runs that have no model yet.
    """
    backbone = run.model.backbone
    if isinstance(backbone, FromRun):
        from tlbatch.planning.source_models import resolve_source

        return resolve_source(backbone, store)
    assert backbone is not None
    info = info_of(backbone)
    if info is None:
        raise StudyError(f"unknown backbone {backbone!r}: `tlbatch backbones` lists them")
    wanted = run.model.weights
    if wanted == "random":
        own = info.weights[0].input if info.weights else info.input
        return ResolvedWeights({"kind": "random", "seed": RANDOM_SEED}, own_input=dict(own))
    if is_file_like(wanted) or wanted.startswith("store:"):
        return _from_file(wanted, info, store)
    return _named(info, wanted)


def _named(info: BackboneInfo | OtherInfo, wanted: str) -> ResolvedWeights:
    found = named_weight(info, wanted)
    params = {"kind": "named", "name": found.name, "file": found.file, "hash": found.hash}
    return ResolvedWeights(params, found.url or None, dict(found.input), trained_on=found.trained_on)


def named_weight(info: BackboneInfo | OtherInfo, wanted: str) -> WeightInfo:
    """Published weights by name, ``default`` meaning the first. Raises StudyError with the nearest name."""
    if not info.weights:
        raise StudyError(f"{info.name} has no published weights: name a file in weights, or weights: random")
    if wanted == "default":
        return info.weights[0]
    for weight in info.weights:
        if weight.name == wanted:
            return weight
    if (twin := other_activation(info.name, wanted)) is not None:
        raise StudyError(f"weights {wanted!r} were trained with the other activation (QuickGELU or not): take backbone {twin}")
    names = ["default", "random", *(weight.name for weight in info.weights)]
    raise StudyError(f"unknown weights {wanted!r} of {info.name}{suggestion(wanted, names)}")


def _from_file(location: str, info: BackboneInfo | OtherInfo, store: Store) -> ResolvedWeights:
    """A file's own sha256 goes into the key. One that is published is recognised; else its classifier tells ImageNet."""
    path = fetch(location, store)
    digest = file_sha256(path)
    params = {"kind": "file", "sha256": digest}
    for weight in info.weights:
        if weight.hash and digest.startswith(weight.hash):
            return ResolvedWeights(params, location, dict(weight.input), trained_on=weight.trained_on)
    trained_on = IMAGENET if _imagenet_head(path, info) else ""
    return ResolvedWeights(params, location, dict(info.input), trained_on=trained_on, texts=_has_texts(path))


def _imagenet_head(path: Path, info: BackboneInfo | OtherInfo) -> bool:
    """Whether a safetensors file has this backbone's classifier over 1,000 classes. Without torch, other files tell nothing."""
    head = info.head if isinstance(info, BackboneInfo) else ""
    shapes = safetensors_shapes(path)
    weights = [name for name in shapes if head and name.startswith(f"{head}.") and name.endswith("weight")]
    return bool(weights) and shapes[weights[-1]][0] == IMAGENET_CLASSES


def _has_texts(path: Path) -> bool:
    """Whether a file holds a text tower; of other files than safetensors the step that reads them knows."""
    shapes = safetensors_shapes(path)
    return not shapes or any(name.endswith(TOKENS) for name in shapes)


def safetensors_shapes(path: Path) -> dict[str, list[int]]:
    """Name -> shape, from a safetensors file's header; {} for other files."""
    with path.open("rb") as file:
        start = file.read(8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= size <= LONGEST_HEADER:
            return {}
        try:
            header = json.loads(file.read(size))
        except ValueError:
            return {}
    if not isinstance(header, dict):
        return {}
    return {str(name): list(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}


def has_imagenet_head(resolved: ResolvedWeights) -> bool:
    """Whether the weights bring a classifier over ImageNet's 1,000 classes: what the zero-label row needs."""
    named = resolved.trained_on == IMAGENET or resolved.trained_on.startswith(f"{IMAGENET} after ")
    return resolved.params["kind"] in {"named", "file"} and named


# -- mirroring, and where weights are -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mirrored:
    """One file of a store's ``weights/``; ``copied`` is false where it was there already. ``backbone``: "" for other files."""

    backbone: str
    weights: str
    name: str
    size: int
    copied: bool


def mirror(store: Store, names: Iterable[str]) -> list[Mirrored]:
    """Copy weights into the store's ``weights/``, hashes checked: ``NAME`` (its default ones), ``NAME:WEIGHTS``, or a file.

    A file's path or URL becomes ``store:weights/<its name>``. Raises StudyError for unknown names (before anything is
    copied), TransientError where a file cannot be had now.
    """
    wanted = [name if _is_file(name) else _wanted(name) for name in names]
    return [_mirror_file(store, each) if isinstance(each, str) else _mirror(store, *each) for each in wanted]


def _is_file(name: str) -> bool:
    return is_file_like(name) and info_of(name.partition(":")[0]) is None


def _mirror_file(store: Store, location: str) -> Mirrored:
    """A file that no catalogue names. Raises StudyError where the store has another one of the same name."""
    path = fetch(location, store)
    name = FOLDER + location.rpartition("/")[2].partition("?")[0]
    if store.stat(name) is None:
        store.upload(path, name)
        return Mirrored("", location, name, path.stat().st_size, copied=True)
    if file_sha256(fetch(f"{STORE_PREFIX}{name}", store)) != file_sha256(path):
        raise StudyError(f"{store.url}/{name} is there already and is another file than {location}: rename yours")
    return Mirrored("", location, name, path.stat().st_size, copied=False)


def _parted(name: str) -> tuple[str, str]:
    """NAME, or NAME:WEIGHTS; a plug-in's name has a colon of its own."""
    first, _, rest = name.partition(":")
    if first not in installed():
        return first, rest
    own, _, weights = rest.partition(":")
    return f"{first}:{own}", weights


def _wanted(name: str) -> tuple[str, WeightInfo]:
    backbone, weights = _parted(name)
    info: Any = info_of(backbone)
    if info is None:
        raise StudyError(f"unknown backbone {backbone!r}{backbone_hint(backbone)}; `tlbatch backbones` lists them")
    return backbone, named_weight(info, weights or "default")


def _mirror(store: Store, backbone: str, weight: WeightInfo) -> Mirrored:
    name = FOLDER + weight.file
    there = store.stat(name)
    if there is not None:
        find_weight(store, weight)
        return Mirrored(backbone, weight.name, name, there.size, copied=False)
    path = find_weight(None, weight)
    store.upload(path, name)
    return Mirrored(backbone, weight.name, name, path.stat().st_size, copied=True)


def places(name: str, store: Store | None) -> list[tuple[WeightInfo, Place]]:
    """The published weights of a backbone, default first, and where each would be taken from now."""
    return [(weight, place_of(store, weight)) for weight in weights_of(name)]
