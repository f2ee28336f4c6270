"""``python -m jobs.models.clip_catalogue`` writes tlbatch/backbones/clip.json from open_clip. Same version, same bytes.

Of open_clip's networks those that are much used (NAMES). Left out are networks with a text tower of another library, and CoCa's
captioners. Of a network the weights are listed that were trained with its activation (QuickGELU or not).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

import tlbatch
from jobs.models.activations import held_by_stage
from jobs.models.catalogue import Inputs, full_input, published_hash
from jobs.models.clip import clip_config, divide_tower, image_tower
from jobs.models.network import Shape
from jobs.models.sizes import size_rule
from jobs.models.stages import Division
from jobs.models.truncate import Tap, walk
from tlbatch import output
from tlbatch.backbones.clip import PREFIX
from tlbatch.backbones.infos import MEASURED_AT

CLIP = Path(tlbatch.__file__).parent / "backbones" / "clip.json"
SAFETENSORS = "open_clip_model.safetensors"
"""The file that open_clip looks for first in a repository that is named alone."""
NAMES = (
    *("ViT-B-32", "ViT-B-32-quickgelu", "ViT-B-16", "ViT-B-16-quickgelu", "ViT-L-14", "ViT-L-14-quickgelu"),
    *("ViT-L-14-336-quickgelu", "ViT-H-14", "ViT-H-14-quickgelu"),
    *(f"{name}-quickgelu" for name in ("RN50", "RN101", "RN50x4")),
    *("ViT-B-32-256", "ViT-g-14", "ViT-bigG-14", "convnext_base", "convnext_base_w"),
    *("MobileCLIP-S1", "MobileCLIP-S2", "MobileCLIP-B", "MobileCLIP2-S0", "MobileCLIP2-S2", "MobileCLIP2-B"),
    *("ViT-B-16-SigLIP", "ViT-B-16-SigLIP-256", "ViT-B-32-SigLIP2-256", "ViT-B-16-SigLIP2", "ViT-L-16-SigLIP-256"),
)
FIRST = ("openai", "laion2b_s")
"""Beginnings of tags that are the default where a network has them: those most compared with."""
RESIZED = {"shortest": "crop", "squash": "squash", "longest": "pad"}
WEB = {
    "openai": "OpenAI's 400 million captioned web images",
    "yfcc15m": "YFCC-15M, captioned photographs of Flickr",
    "cc12m": "Conceptual 12M, captioned web images",
    "laion400m": "LAION-400M, captioned web images",
    "laion2b": "LAION-2B, captioned web images",
    "laion5b": "LAION-5B, captioned web images",
    "laion_aesthetic": "LAION-Aesthetic, captioned web images",
    "datacompdr": "DataCompDR-1B, captioned web images",
    "datacomp": "DataComp, captioned web images",
    "commonpool": "CommonPool, captioned web images",
    "metaclip2": "MetaCLIP 2's captioned web images",
    "metaclip": "MetaCLIP's captioned web images",
    "merged2b": "Merged-2B (LAION-2B and COYO-700M), captioned web images",
    "dfndr": "DFNDR-2B, captioned web images",
    "dfn": "DFN, captioned web images",
    "webli": "WebLI, captioned web images",
    "meta": "Meta's captioned web images",
}
"""By the beginning of a tag: what the weights were trained on, as open_clip and the weights' authors call it."""


def trained_on(tag: str) -> str:
    return next((words for start, words in WEB.items() if tag.startswith(start)), "captioned web images")


def clip_weights(model: str, quick_gelu: bool, size: int, inputs: Inputs) -> list[list[Any]]:
    """[name, source, hash, trained_on, input] for each tag trained with this activation: FIRST, then open_clip's order."""
    from open_clip import get_pretrained_cfg, list_pretrained_tags_by_model

    found = []
    for tag in list_pretrained_tags_by_model(model):
        config: dict[str, Any] = get_pretrained_cfg(model, tag)
        if bool(config.get("quick_gelu")) == quick_gelu:
            source = _source(config)
            found.append([tag, source, published_hash(source), trained_on(tag), inputs.number(_input(config, size))])
    return sorted(found, key=lambda weight: next((i for i, tag in enumerate(FIRST) if weight[0].startswith(tag)), len(FIRST)))


def _source(config: Mapping[str, Any]) -> str:
    hub = config.get("hf_hub", "")
    return f"{hub}{SAFETENSORS}" if hub.endswith("/") else hub or config["url"]


def _input(config: Mapping[str, Any], size: int) -> dict[str, Any]:
    return full_input(
        size=size,
        crop=1.0,
        resize=RESIZED[config["resize_mode"]],
        interpolation=config["interpolation"],
        mean=[round(float(x), 8) for x in config["mean"]],
        std=[round(float(x), 8) for x in config["std"]],
    )


def describe(model: str, inputs: Inputs) -> dict[str, Any] | None:
    """A network's entry; None for one that is left out."""
    config = clip_config(model)
    text = config["text_cfg"]
    size = config["vision_cfg"].get("image_size", MEASURED_AT)
    weights = clip_weights(model, bool(config.get("quick_gelu")), size, inputs)
    if not weights or "hf_model_name" in text or "multimodal_cfg" in config or "transformers" in text:
        return None
    with torch.device("meta"):
        tower = image_tower(model).eval()
    division = divide_tower(tower, size)
    return {
        "parameters": sum(p.numel() for p in tower.parameters()),
        "default": division.default,
        "stages": _stages(tower, division, size),
        "layers": _layers(tower, division, size),
        "weights": weights,
        "sizes": _sizes(tower.eval(), size),
        "text": [text.get("context_length", 77), _text_parameters(config), text.get("hf_tokenizer_name") or ""],
    }


def _sizes(tower: nn.Module, size: int) -> list[int] | None:
    """Of open_clip's own towers, whose places are learnt for one size, that size alone; others are tried."""
    return size_rule(tower, size) if hasattr(tower, "trunk") else [size, size]


def _stages(tower: nn.Module, division: Division, size: int) -> list[list[Any]]:
    """[name, modules, parameters, bytes kept, bytes working], the bytes as if at MEASURED_AT pixels."""
    held = held_by_stage(tower, division.stages, size)
    area = (MEASURED_AT / size) ** 2
    named = dict(tower.named_parameters())
    rows = []
    for stage in division.stages:
        parameters = sum(p.numel() for name, p in named.items() if stage.holds(name))
        kept, working = (round(each * area) for each in (held[stage.name].kept, held[stage.name].working))
        rows.append([stage.name, list(stage.layers), parameters, kept, working])
    return rows


def _layers(tower: nn.Module, division: Division, size: int) -> list[list[Any]]:
    """[name, stage, channels, stride, offset, smallest, path, tokens] of those whose output can be said for every size."""
    calls = walk(tower.eval(), Tap(""), (1, 3, size, size)).calls
    shapes = {call.path: call.shape for call in reversed(calls) if call.shape is not None}
    rows: list[list[Any]] = []
    for layer in division.layers:
        if layer.path not in shapes:
            continue
        shape = Shape.of(shapes[layer.path], pooled=layer.name == division.default)
        if shape.kind == "tokens":
            rows.append([layer.name, layer.stage, shape.channels, 0, 0, size, layer.path, shape.values[0]])
        elif shape.map is None:
            rows.append([layer.name, layer.stage, shape.size, 0, 0, size, layer.path, 0])
        elif size % shape.map[1] == 0:
            rows.append([layer.name, layer.stage, shape.channels, size // shape.map[1], 0, size, layer.path, 0])
    return rows


def _text_parameters(config: Mapping[str, Any]) -> int:
    from open_clip.model import _build_text_tower

    with torch.device("meta"):
        tower: nn.Module = _build_text_tower(config["embed_dim"], config["text_cfg"], config.get("quick_gelu", False))
    return sum(p.numel() for p in tower.parameters())


def build(models: Iterable[str] = NAMES) -> str:
    """The file's text: a line a network."""
    inputs, entries = Inputs(), {}
    for model in models:
        entry = describe(model, inputs)
        if entry is not None:
            entries[f"{PREFIX}{model}"] = entry
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())
    fed = ",\n".join(json.dumps(each) for each in inputs.all)
    version = re.sub(r"\+.*", "", metadata.version("open_clip_torch"))
    return f'{{"libraries": {json.dumps({"open_clip": version})},\n"inputs": [\n{fed}],\n"backbones": {{\n{lines}}}}}\n'


if __name__ == "__main__":
    output.install()
    torch.set_num_threads(1)
    CLIP.write_text(build(), encoding="utf-8")
    print(f"{CLIP}: {CLIP.stat().st_size} bytes")
