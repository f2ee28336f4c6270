"""CLIP networks without torch: image towers as backbones, and what is to be known of their text towers.

``python -m jobs.models.clip_catalogue`` writes ``clip.json`` from open_clip; a test fails when it is stale. A network is called
``open_clip/`` and its name there. Those whose text tower is another library's are not in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from tlbatch.backbones.infos import HF_FILE, BackboneInfo, LayerInfo, StageInfo, WeightInfo

PREFIX = "open_clip/"
QUICKGELU = "-quickgelu"
"""Ending of open_clip's name for a network with OpenAI's activation: the same weights say something else without it."""


@dataclass(frozen=True)
class TextTower:
    """``context``: tokens that it reads at most. ``tokenizer``: "" for CLIP's own (in the package), else whose it is."""

    context: int
    parameters: int
    tokenizer: str


@cache
def _document() -> dict[str, Any]:
    text = resources.files("tlbatch.backbones").joinpath("clip.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def clip_names() -> tuple[str, ...]:
    return tuple(_document()["backbones"])


def text_tower(name: str | None) -> TextTower | None:
    """Of a CLIP network; None for every other."""
    entry = _document()["backbones"].get(name or "")
    return TextTower(*entry["text"]) if entry else None


def clip_sizes(name: str) -> tuple[int, int] | None:
    """(least, most) pixels a side that the image tower takes, most 0 for no limit; None: all."""
    rule = _document()["backbones"][name]["sizes"]
    return (rule[0], rule[1]) if rule else None


@cache
def clip_backbone(name: str) -> BackboneInfo | None:
    """The image tower, up to the embedding (``pre_logits``) that texts are compared with; None for every other name."""
    entry = _document()["backbones"].get(name)
    if entry is None:
        return None
    return BackboneInfo(
        name=name,
        library="open_clip",
        architecture=name.removeprefix(PREFIX),
        parameters=entry["parameters"],
        default=entry["default"],
        stages=tuple(StageInfo(stage, tuple(modules), *numbers) for stage, modules, *numbers in entry["stages"]),
        extra=(),
        layers=tuple(LayerInfo(*values) for values in entry["layers"]),
        weights=tuple(_weight(values) for values in entry["weights"]),
        input=_document()["inputs"][entry["weights"][0][4]],
        head="",
        beside=TextTower(*entry["text"]).parameters,
    )


def _weight(values: list[Any]) -> WeightInfo:
    """[name, url or Hugging Face repository and file, hash, trained_on, number of the input]"""
    name, source, published, trained_on, number = values
    fed: Mapping[str, Any] = _document()["inputs"][number]
    if source.startswith("https://"):
        return WeightInfo(name, source.rpartition("/")[2], source, published, trained_on, fed)
    repository, _, file = source.rpartition("/")
    kept = f"{repository.rpartition('/')[2]}-{file}"
    return WeightInfo(name, kept, HF_FILE.format(repo=repository, file=file), published, trained_on, fed)


def other_activation(name: str, weights: str) -> str | None:
    """The network of the same shape and the other activation that these weights belong to, where there is one."""
    twin = name.removesuffix(QUICKGELU) if name.endswith(QUICKGELU) else name + QUICKGELU
    entry = _document()["backbones"].get(twin)
    return twin if entry and any(weight[0] == weights for weight in entry["weights"]) else None
