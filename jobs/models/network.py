"""A backbone cut at a layer, and a backbone with a head: made of ordered stages that are frozen or trained as one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from jobs.models.stages import Division, Layer, Stage
from jobs.models.truncate import Tap, Walk, drop_modules, run_to, unreached, walk

HEAD = "head"
SMALL_BATCH = 32
"""Below so many images a batch's own statistics are too noisy for BatchNorm (design §8.3)."""

__all__ = ["HEAD", "Backbone", "Network", "Shape", "Stage"]


@dataclass(frozen=True)
class Shape:
    """What a layer puts out for one image: ``values`` as the library orders them; ``kind`` says how to read them."""

    values: tuple[int, ...]
    kind: str  #: map [c, h, w], map_last [h, w, c], row [c, l], tokens [t, d] or vector [d]

    @staticmethod
    def of(batched: tuple[int, ...], *, pooled: bool = False, like: tuple[int, ...] = ()) -> Shape:
        """From the shape of a batch. ``pooled``: what feeds a classifier, where 1x1 maps are vectors.

        ``like``: the shape of an item that was fed: two numbers are channels and length there (of images: none, tokens).
        """
        values = batched[1:]
        if len(values) == len(like) == 2:
            return Shape(values, "row")
        if pooled and len(values) == 3 and values[1:] == (1, 1):
            return Shape(values, "vector")
        if len(values) == 3:
            last = values[0] == values[1] != values[2]
            return Shape(values, "map_last" if last else "map")
        return Shape(values, "tokens" if len(values) == 2 else "vector")

    @property
    def size(self) -> int:
        """All values."""
        return math.prod(self.values)

    @property
    def channels(self) -> int:
        """Values that are left once places are pooled; all of a vector's."""
        if self.kind == "vector":
            return self.size
        return self.values[0] if self.kind in ("map", "row") else self.values[-1]

    @property
    def map(self) -> tuple[int, int, int] | None:
        """(channels, height, width) of a map, else None."""
        if self.kind == "map":
            return self.values[0], self.values[1], self.values[2]
        return (self.values[2], self.values[0], self.values[1]) if self.kind == "map_last" else None


class Backbone(nn.Module):
    """A network up to a layer, pooled: items [n, *fed] to features [n, dim].

    ``fed``: the shape of an item, (channels, size, size) of images. ``stages``: those up to the layer. ``layer``: the layer.
    ``shape``: what it puts out for an item. ``architecture`` says as JSON values which network this is, so that it can be built
    again.
    """

    def __init__(
        self,
        body: nn.Module,
        division: Division,
        layer: Layer,
        pool: str,
        *,
        fed: tuple[int, ...],
        architecture: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.layer, self.pool, self.fed = layer, pool, tuple(fed)
        self.architecture = dict(architecture or {})
        self._tap = Tap(layer.path, layer.at_input)
        found = walk(body, self._tap, (1, *fed))
        drop_modules(body, unreached(body, found))
        if layer.at_input and layer.path:  # the classifier stays as the place to listen at
            body.set_submodule(layer.path, nn.Identity())
            found = walk(body, self._tap, (1, *fed))  # some networks ask what their classifier is
        self.shape = Shape.of(found.shape, pooled=layer.at_input, like=fed)
        self._last = _last_map(body, found)
        self.stages = _stages_of(body, division, found)
        self.eval()

    @property
    def dim(self) -> int:
        """Features an image."""
        return self.shape.size if self.pool == "flatten" else self.shape.channels

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, dim]; one-channel images are repeated for networks that take three."""
        return pooled(self._output(x)[0], self.shape, self.pool)

    def maps(self, x: Tensor) -> Tensor | None:
        """[n, c, h, w]: what the layer puts out before pooling, else (a dense layer) the last map before it; None: no maps."""
        return self.maps_and_features(x)[0]

    def maps_and_features(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """``maps`` and ``forward`` of one pass: features depend on the maps, so gradients run from them to the maps."""
        output, seen = self._output(x)
        if self.shape.map:
            return _channels_first(output, self.shape), pooled(output, self.shape, self.pool)
        maps = None if seen is None or self._last is None else _channels_first(seen, self._last.shape)
        return maps, pooled(output, self.shape, self.pool)

    def _output(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the layer puts out, as the library orders it, and the last map before it where the layer itself is none."""
        if x.shape[1] == 1 and len(self.fed) == self.fed[0] == 3:
            x = x.expand(-1, 3, -1, -1)
        also = None if self.shape.map or self._last is None else self._last.path
        caught = run_to(self.body, self._tap, x, also=also)
        assert caught.output is not None
        return caught.output, caught.seen


def pooled(output: Tensor, shape: Shape, pool: str) -> Tensor:
    """[n, d] of what a layer of this shape puts out: the average or maximum over places (``avg``, ``max``), or all values."""
    output = _channels_first(output, shape)
    if shape.kind == "vector" or pool == "flatten":
        return output.flatten(1)
    over = {"tokens": (1,), "row": (2,)}.get(shape.kind, (2, 3))
    return output.mean(dim=over) if pool == "avg" else output.amax(dim=over)


def _channels_first(output: Tensor, shape: Shape) -> Tensor:
    return output.permute(0, 3, 1, 2) if shape.kind == "map_last" else output


@dataclass(frozen=True)
class _LastMap:
    path: str
    shape: Shape


def _last_map(body: nn.Module, found: Walk) -> _LastMap | None:
    """The last module that put out a map of more than one place; None where there is none, or tokens were mixed after it."""
    modules = dict(body.named_modules())
    for call in reversed(found.calls):
        shape = call.shape or ()
        if len(shape) == 3 and shape[1] > 1:
            return None
        passes = isinstance(modules.get(call.path), nn.Dropout | nn.Softmax | nn.Identity)
        if call.path not in modules or not call.path or passes or len(shape) != 4 or shape[0] != 1:
            continue
        layer = Shape.of(shape)
        if layer.map and layer.map[1] == layer.map[2] > 1:
            return _LastMap(call.path, layer)
    return None


def _stages_of(body: nn.Module, division: Division, found: Walk) -> tuple[Stage, ...]:
    """The division's stages as far as the walk used them. The first takes in parameters that no stage names."""
    parameters = [name for name, _ in body.named_parameters()]
    used = {*found.entered, *parameters}
    kept = []
    for stage in division.stages:
        layers = tuple(layer for layer in stage.layers if any(n == layer or n.startswith(f"{layer}.") for n in used))
        if layers:
            kept.append(Stage(stage.name, layers))
    left = tuple(name for name in parameters if not any(stage.holds(name) for stage in kept))
    return (Stage(kept[0].name, (*kept[0].layers, *left)), *kept[1:])


class Network(nn.Module):
    """A backbone and a head: images to logits. What jobs.training trains; its last stage is ``head``."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.stages = (*backbone.stages, Stage(HEAD, (HEAD,)))
        self._unfrozen = frozenset(stage.name for stage in self.stages)
        self.new = frozenset({HEAD})  #: stages without pretrained statistics to keep
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes]."""
        return self.classify(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """[n, dim]"""
        features: Tensor = self.backbone(x)
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Logits of features [n, dim]."""
        logits: Tensor = self.head(features)
        return logits

    def parameters_of(self, stage: str) -> list[nn.Parameter]:
        """Parameters of a stage, in the network's order. Raises KeyError for a stage it does not have."""
        if stage == HEAD:
            return list(self.head.parameters())
        found = self._stage(stage)
        return [parameter for name, parameter in self.backbone.body.named_parameters() if found.holds(name)]

    def modules_of(self, stage: str) -> list[nn.Module]:
        """The outermost modules of a stage. Raises KeyError for a stage it does not have."""
        if stage == HEAD:
            return [self.head]
        found, modules = self._stage(stage), dict(self.backbone.body.named_modules())
        return [modules[layer] for layer in found.layers if layer in modules]

    def _stage(self, name: str) -> Stage:
        return {stage.name: stage for stage in self.stages}[name]

    def freeze(self, unfrozen: Iterable[str]) -> None:
        """Let only the ``unfrozen`` stages learn. Raises KeyError for a stage it does not have."""
        self._unfrozen = frozenset(unfrozen)
        for name in self._unfrozen:
            self._stage(name)
        for stage in self.stages:
            for parameter in self.parameters_of(stage.name):
                parameter.requires_grad_(stage.name in self._unfrozen)

    def train_mode(self, batch_norm: str = "auto", batch_size: int = SMALL_BATCH) -> None:
        """Train mode for the unfrozen stages alone: frozen ones keep statistics, dropout and drop path of eval mode.

        ``batch_norm`` of the backbone's unfrozen stages: ``train``, ``eval``, or ``auto``: eval below 32 images a batch.
        New stages, the head among them, have no statistics to keep: theirs always trains.
        """
        self.eval()
        keep = batch_norm == "eval" or (batch_norm == "auto" and batch_size < SMALL_BATCH)
        for stage in self._unfrozen:
            for module in self.modules_of(stage):
                module.train()
                if keep and stage not in self.new:
                    _eval_batch_norm(module)


def _eval_batch_norm(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.eval()
