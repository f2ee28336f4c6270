"""The catalogue's backbones: which library builds them, how they are divided. One entry each; names as in the literature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.models.stages import Division, divide


@dataclass(frozen=True)
class Family:
    """A backbone of the catalogue. ``architecture`` is the library's name of it; ``head`` the path of its classifier."""

    name: str
    library: str
    architecture: str
    head: str
    division: Division
    options: Mapping[str, Any] = field(default_factory=dict)


FAMILIES: dict[str, Family] = {}


def _register(name: str, library: str, head: str, division: Division, *, architecture: str = "", **options: Any) -> None:
    if name in FAMILIES:
        raise ValueError(f"two backbones are called {name}")
    FAMILIES[name] = Family(name, library, architecture or name, head, division, options)


def _span(first: int, last: int, prefix: str = "features") -> tuple[str, ...]:
    return tuple(f"{prefix}.{i}" for i in range(first, last + 1))


def _vgg(convolutions: tuple[int, ...]) -> Division:
    """Blocks of 3x3 convolutions with ReLU, each ending in a pool; layers as Keras names them (block4_conv3: after ReLU)."""
    stages, layers, at = {}, {}, 0
    for block, count in enumerate(convolutions, start=1):
        stages[f"block{block}"] = _span(at, at + 2 * count)
        for i in range(count):
            layers[f"block{block}_conv{i + 1}"] = f"features.{at + 2 * i + 1}"
        layers[f"block{block}_pool"] = f"features.{at + 2 * count}"
        at += 2 * count + 1
    stages["fc"] = ("avgpool", *_span(0, 5, "classifier"))
    layers |= {"fc6": "classifier.1", "fc7": "classifier.4"}
    return divide(stages, layers, "block5", ("fc",))


_register("vgg16", "torchvision", "classifier.6", _vgg((2, 2, 3, 3, 3)))
_register("vgg19", "torchvision", "classifier.6", _vgg((2, 2, 4, 4, 4)))

_register(
    "alexnet",
    "torchvision",
    "classifier.6",
    divide(
        {
            "conv1": _span(0, 2),
            "conv2": _span(3, 5),
            "conv3": _span(6, 7),
            "conv4": _span(8, 9),
            "conv5": _span(10, 12),
            "fc": ("avgpool", *_span(0, 5, "classifier")),
        },
        {
            "pool1": "features.2",
            "pool2": "features.5",
            "relu3": "features.7",
            "relu4": "features.9",
            "pool5": "features.12",
            "fc6": "classifier.2",
            "fc7": "classifier.5",
        },
        "conv5",
        ("fc",),
    ),
)

_register(
    "resnet50",
    "torchvision",
    "fc",
    divide(
        {"stem": ("conv1", "bn1", "relu", "maxpool")} | {f"layer{i}": (f"layer{i}",) for i in range(1, 5)},
        {"conv1": "relu", "maxpool": "maxpool"}
        | {f"layer{i}.{j}": f"layer{i}.{j}" for i, count in enumerate((3, 4, 6, 3), start=1) for j in range(count)},
        "layer4",
    ),
)

_register(
    "mobilenet_v2",
    "torchvision",
    "classifier",
    divide(
        {
            "stem": _span(0, 1),
            "stage1": _span(2, 3),
            "stage2": _span(4, 6),
            "stage3": _span(7, 10),
            "stage4": _span(11, 13),
            "stage5": _span(14, 16),
            "stage6": _span(17, 17),
            "last": _span(18, 18),
        },
        {f"features.{i}": f"features.{i}" for i in range(19)},
        "last",
    ),
)

_register(
    "squeezenet1_1",
    "torchvision",
    "classifier",
    divide(
        {
            "stem": _span(0, 2),
            "stage1": _span(3, 5),
            "stage2": _span(6, 8),
            "stage3": _span(9, 10),
            "stage4": _span(11, 12),
        },
        {"conv1": "features.1", "pool1": "features.2", "fire2": "features.3", "fire3": "features.4", "pool3": "features.5"}
        | {"fire4": "features.6", "fire5": "features.7", "pool5": "features.8"}
        | {f"fire{i - 3}": f"features.{i}" for i in range(9, 13)},
        "stage4",
    ),
)

_INCEPTION = {
    "stem": ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
    "mixed5": ("Mixed_5b", "Mixed_5c", "Mixed_5d"),
    "mixed6": ("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    "mixed7": ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
}
_register(
    "inception_v3",
    "torchvision",
    "fc",
    divide(_INCEPTION, {path: path for paths in _INCEPTION.values() for path in paths}, "mixed7"),
    transform_input=False,
    init_weights=False,
)

_XCEPTION = {
    "stem": ("conv1", "bn1", "act1", "conv2", "bn2", "act2"),
    "entry": ("block1", "block2", "block3"),
    "middle": tuple(f"block{i}" for i in range(4, 12)),
    "exit": ("block12", "conv3", "bn3", "act3", "conv4", "bn4", "act4"),
}
_register(
    "xception",
    "timm",
    "fc",
    divide(
        _XCEPTION,
        {"conv1": "act1", "conv2": "act2"}
        | {f"block{i}": f"block{i}" for i in range(1, 13)}
        | {"conv3": "act3", "conv4": "act4"},
        "exit",
    ),
    architecture="legacy_xception",
)

LITE_REPEATS: dict[str, tuple[int, ...]] = {
    "efficientnet_lite0": (1, 2, 2, 3, 3, 4, 1),
    "efficientnet_lite1": (1, 3, 3, 4, 4, 5, 1),
    "efficientnet_lite2": (1, 3, 3, 4, 4, 5, 1),
}
"""Blocks in each of the seven stages: Lite0's as EfficientNet-B0's, the others' 1.1 and 1.2 times as many, rounded up, but for
the first and the last stage."""
TENSORFLOW = "tf_"
"""Before timm's name of a network with TensorFlow's padding, as these weights were trained."""


def _lite(repeats: tuple[int, ...]) -> Division:
    return divide(
        {"stem": ("conv_stem", "bn1")} | {f"stage{i + 1}": (f"blocks.{i}",) for i in range(7)} | {"last": ("conv_head", "bn2")},
        {"stem": "bn1"}
        | {f"blocks.{i}.{j}": f"blocks.{i}.{j}" for i, count in enumerate(repeats) for j in range(count)}
        | {"last": "bn2"},
        "last",
    )


for _name, _repeats in LITE_REPEATS.items():
    _register(_name, "timm", "classifier", _lite(_repeats), architecture=f"{TENSORFLOW}{_name}")
