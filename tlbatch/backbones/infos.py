"""What is said of a pretrained network: weights, stages, layers. Frozen values, from the catalogues or a plug-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MEASURED_AT = 224
"""Pixels a side of the images at which memory is measured."""
HF_FILE = "https://huggingface.co/{repo}/resolve/main/{file}"


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

    ``smallest`` is the smallest input size that gets there. ``path``, of plug-ins' and CLIP networks: of the module; "": its
    name. ``tokens``: how many vectors of ``channels`` values a transformer has there; 0 of maps and single vectors.
    """

    name: str
    stage: str
    channels: int
    stride: int
    offset: int
    smallest: int
    path: str = ""
    tokens: int = 0

    def shape(self, size: int) -> tuple[int, ...] | None:
        """(channels, height, width), (channels, tokens) or (values,) for square images of ``size`` pixels; None: too small."""
        if size < self.smallest:
            return None
        if self.tokens:
            return (self.channels, self.tokens)
        if not self.stride:
            return (self.channels,)
        side = (size + self.offset) // self.stride
        return (self.channels, side, side)


@dataclass(frozen=True)
class BackboneInfo:
    """A backbone of the catalogue. Stages and layers are in the order of the data, weights the default first.

    ``extra`` are stages after the default layer: part of a model only where a layer of theirs is used. ``parameters``
    counts the whole network with its classifier; ``input`` is how the architecture's usual weights are fed. ``beside``:
    parameters that files of its weights hold for something else (a text tower).
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
    beside: int = 0

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
