"""What is known of backbones without torch: names, stages, layers, sizes, weights, preprocessing. From two files.

``python -m jobs.models.catalogue`` and ``jobs.models.sizes`` write the files from torchvision, timm and jobs.models; tests fail
when they are stale.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from tlbatch.backbones.clip import clip_backbone, clip_names, clip_sizes
from tlbatch.backbones.infos import HF_FILE, MEASURED_AT, BackboneInfo, LayerInfo, OtherInfo, StageInfo, WeightInfo
from tlbatch.plugins import find

__all__ = ["MEASURED_AT", "BackboneInfo", "LayerInfo", "OtherInfo", "StageInfo", "WeightInfo"]


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
    """Every name that ``backbone`` takes: the catalogue's, torchvision's, timm's (``timm/…`` where both have one), CLIP's."""
    return (*_document()["backbones"], *_document()["others"], *clip_names())


def layer_names(name: str) -> tuple[str, ...]:
    """Names that ``layer`` takes, in the order of the data; empty for a backbone whose layers are not known."""
    info = described(name)
    return tuple(layer.name for layer in info.layers) if info else ()


def described(name: str | None) -> BackboneInfo | None:
    """A backbone whose stages are known: of the catalogue, a CLIP's, or a plug-in's (``plugin:name``). Raises StudyError."""
    found = backbones().get(name or "") or clip_backbone(name or "") or _added(name or "")
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
    if clip_backbone(name) is not None:
        return clip_sizes(name)
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
        file, url = f"{source.rpartition('/')[2]}.safetensors", HF_FILE.format(repo=source, file="model.safetensors")
    if package:
        url = ""
    return WeightInfo(name, file, url, published, trained_on, _document()["inputs"][number], package)
