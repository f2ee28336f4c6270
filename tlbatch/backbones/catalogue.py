"""What is known of backbones without torch: names, stages, layers, sizes, weights, preprocessing. From two files.

``python -m jobs.models.catalogue`` and ``jobs.models.sizes`` write the files from torchvision, timm and jobs.models; tests fail
when they are stale.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from tlbatch.plugins import find

MEASURED_AT = 224
"""Pixels a side of the images at which memory is measured."""
HF_URL = "https://huggingface.co/{repo}/resolve/main/model.safetensors"


@dataclass(frozen=True)
class WeightInfo:
    """Published weights of a backbone. ``file`` is their name in caches and in a store's ``weights/``.

    ``hash`` is the published sha256 or the first digits of it ("" where none is published); ``package`` an installed Python
    package that holds the file; ``input`` how images are fed (``preprocessing``); ``trained_on`` "" where unknown.
    """

    name: str
    file: str
    url: str
    hash: str
    trained_on: str
    input: Mapping[str, Any]
    package: str = ""


@dataclass(frozen=True)
class StageInfo:
    """A stage: paths of its modules in the library's network, its number of parameters, and its memory.

    Memory is in bytes an image in float32, at MEASURED_AT pixels (it grows with the area): ``kept`` for the backward pass
    where the stage learns (or one before it does), ``working``: in and out of its largest layer.
    """

    name: str
    modules: tuple[str, ...]
    parameters: int
    kept: int
    working: int


@dataclass(frozen=True)
class LayerInfo:
    """A layer whose output can be used: ``channels`` maps of side (size + offset) // stride, a vector where stride is 0.

    ``smallest`` is the smallest input size that gets there. ``path``, of plug-ins' networks: of the module; "": its name.
    """

    name: str
    stage: str
    channels: int
    stride: int
    offset: int
    smallest: int
    path: str = ""

    def shape(self, size: int) -> tuple[int, ...] | None:
        """(channels, height, width) or (values,) for square images of ``size`` pixels; None where they are too small."""
        if size < self.smallest:
            return None
        if not self.stride:
            return (self.channels,)
        side = (size + self.offset) // self.stride
        return (self.channels, side, side)


@dataclass(frozen=True)
class BackboneInfo:
    """A backbone of the catalogue. Stages and layers are in the order of the data, weights the default first.

    ``extra`` are stages after the default layer: part of a model only where a layer of theirs is used. ``parameters``
    counts the whole network with its classifier; ``input`` is how the architecture's usual weights are fed.
    """

    name: str
    library: str
    architecture: str
    parameters: int
    default: str
    stages: tuple[StageInfo, ...]
    extra: tuple[str, ...]
    layers: tuple[LayerInfo, ...]
    weights: tuple[WeightInfo, ...]
    input: Mapping[str, Any]
    head: str

    def layer(self, name: str | None = None) -> LayerInfo | None:
        """The layer of a name, a stage's name meaning its last layer; the default for None; None for unknown names."""
        wanted = name or self.default
        by_name = {layer.name: layer for layer in self.layers}
        by_stage = {layer.stage: layer for layer in self.layers}
        return by_name.get(wanted) or by_stage.get(wanted)

    def feature_shape(self, layer: str | None, size: int) -> tuple[int, ...] | None:
        """What the layer puts out for a square image: (channels, height, width) or (values,); None: unknown or too small."""
        found = self.layer(layer)
        return found.shape(size) if found else None

    def stages_to(self, layer: str | None) -> tuple[StageInfo, ...]:
        """The stages of a model that uses this layer. The last may be cut off in its middle."""
        found = self.layer(layer)
        names = [stage.name for stage in self.stages]
        return self.stages[: names.index(found.stage) + 1] if found else self.stages


@dataclass(frozen=True)
class OtherInfo:
    """A model of torchvision or timm that the catalogue does not describe: its stages are found when it is built."""

    name: str
    library: str
    weights: tuple[WeightInfo, ...]
    input: Mapping[str, Any]


@cache
def _document() -> dict[str, Any]:
    text = resources.files("tlbatch.backbones").joinpath("catalogue.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


@cache
def backbones() -> dict[str, BackboneInfo]:
    """The catalogue, by name."""
    return {name: _backbone(name, entry) for name, entry in _document()["backbones"].items()}


@cache
def known_names() -> tuple[str, ...]:
    """Every name that ``backbone`` takes: the catalogue's, then torchvision's, then timm's (``timm/…`` where both have one)."""
    return (*_document()["backbones"], *_document()["others"])


def layer_names(name: str) -> tuple[str, ...]:
    """Names that ``layer`` takes, in the order of the data; empty for a backbone whose layers are not known."""
    info = described(name)
    return tuple(layer.name for layer in info.layers) if info else ()


def described(name: str | None) -> BackboneInfo | None:
    """A backbone whose stages are known: of the catalogue, or of a plug-in (``plugin:name``). Raises StudyError."""
    found = backbones().get(name or "") or _added(name or "")
    return found if isinstance(found, BackboneInfo) else None


def info_of(name: str) -> BackboneInfo | OtherInfo | None:
    """What is known of any backbone; None for unknown names. Raises StudyError for what a plug-in should have."""
    return described(name) or other(name)


def _added(name: str) -> BackboneInfo | OtherInfo | None:
    found: BackboneInfo | OtherInfo | None = find("backbones", name).info if ":" in name else None
    return found


def other(name: str) -> OtherInfo | None:
    """What is known of a model whose stages are not; None for unknown names. Raises StudyError (a plug-in's)."""
    if isinstance(added := _added(name), OtherInfo):
        return added
    entry = _document()["others"].get(name)
    if entry is None:
        return None
    library, *weights = entry
    named = tuple(_weight(name, values) for values in weights)
    return OtherInfo(name, library, named, named[0].input if named else _document()["inputs"][0])


def weights_of(name: str) -> tuple[WeightInfo, ...]:
    """Published weights of any known model, the default first."""
    info = info_of(name)
    return info.weights if info else ()


@cache
def _sizes() -> dict[str, list[int]]:
    text = resources.files("tlbatch.backbones").joinpath("sizes.json").read_text(encoding="utf-8")
    sizes: dict[str, list[int]] = json.loads(text)["sizes"]
    return sizes


def input_sizes(name: str, layer: str | None = None) -> tuple[int, int] | None:
    """(least, most) pixels a side that a network takes up to a layer; most 0: no limit; None: all, as far as is known."""
    info = described(name)
    if info is not None:
        found = info.layer(layer)
        return (found.smallest, 0) if found else None
    rule = _sizes().get(name)
    return (rule[0], rule[1]) if rule else None


def _backbone(name: str, entry: Mapping[str, Any]) -> BackboneInfo:
    return BackboneInfo(
        name=name,
        library=entry["library"],
        architecture=entry["architecture"],
        parameters=entry["parameters"],
        default=entry["default"],
        stages=tuple(StageInfo(stage, tuple(modules), *numbers) for stage, modules, *numbers in entry["stages"]),
        extra=tuple(entry["extra"]),
        layers=tuple(LayerInfo(*values) for values in entry["layers"]),
        weights=tuple(_weight(name, values) for values in entry["weights"]),
        input=_document()["inputs"][entry["input"]],
        head=entry["head"],
    )


def _weight(backbone: str, values: list[Any]) -> WeightInfo:
    """[name, url or Hugging Face repository, hash, trained_on, number of the input, package]"""
    name, source, published, trained_on, number, package = values
    if source.endswith((".pth", ".pt", ".safetensors", ".bin")):
        file, url = source.rpartition("/")[2], source
    else:
        file, url = f"{source.rpartition('/')[2]}.safetensors", HF_URL.format(repo=source)
    if package:
        url = ""
    return WeightInfo(name, file, url, published, trained_on, _document()["inputs"][number], package)
