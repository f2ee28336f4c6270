"""A network with an ear at each of its layers: one forward pass gives what every layer puts out, pooled, and the logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jobs.models.building import Draft, draft_of, load_state
from jobs.models.network import Shape, pooled
from jobs.models.pretrained import Pretrained
from jobs.models.reading import convert
from jobs.models.stages import Layer
from jobs.models.truncate import Ear, Tap, drop_modules, hear, unreached, walk
from tlbatch.errors import StudyError
from tlbatch.kinds import fed_shape

LOGITS = "logits"
"""Name of what the network's own classifier puts out."""


@dataclass(frozen=True)
class LayerSpan:
    """Where a layer's values are in a row: ``dim`` values from ``start``. ``last``: it is the last of its stage."""

    name: str
    stage: str
    start: int
    dim: int
    last: bool


class LayeredNetwork(nn.Module):
    """Items [n, *fed] to rows [n, dim]: the layers' outputs, averaged over places, one after the other, then the logits.

    ``spans`` says which values are which; the logits are there where the weights have their own classifier. ``default``: the
    layer that a study takes where it names none.
    """

    def __init__(self, body: nn.Module, layers: Sequence[Layer], default: str, fed: tuple[int, ...], *, logits: bool) -> None:
        super().__init__()
        self.body, self.fed, self.default = body, tuple(fed), default
        self._end = Tap("") if logits else Tap(layers[-1].path, layers[-1].at_input)
        found = walk(body, self._end, (1, *fed))
        drop_modules(body, unreached(body, found))
        self._layers = tuple(layers)
        self._shapes = tuple(self._shape(layer) for layer in layers)
        self._logits = Shape.of(found.shape, pooled=True) if logits else None
        self.spans = self._spans()
        self.eval()

    @property
    def dim(self) -> int:
        return self.spans[-1].start + self.spans[-1].dim

    def describe(self) -> dict[str, Any]:
        """What ``features.json`` says of the rows."""
        return {"dim": self.dim, "layer": self.default, "layers": [asdict(span) for span in self.spans]}

    def forward(self, x: Tensor) -> Tensor:
        """Rows [n, dim]. Layers are pooled as they are heard: what comes after may work in place."""
        if x.shape[1] == 1 and len(self.fed) == self.fed[0] == 3:
            x = x.expand(-1, 3, -1, -1)
        ears = [
            Ear(Tap(layer.path, layer.at_input), lambda output, shape=shape: pooled(output, shape, "avg"))  # type: ignore[misc]
            for layer, shape in zip(self._layers, self._shapes, strict=True)
        ]
        heard, end = hear(self.body, ears, self._end, x)
        return torch.cat([*heard, end.flatten(1)] if self._logits else heard, dim=1)

    def _shape(self, layer: Layer) -> Shape:
        tap = Tap(layer.path, layer.at_input)
        return Shape.of(walk(self.body, tap, (1, *self.fed)).shape, pooled=layer.at_input, like=self.fed)

    def _spans(self) -> tuple[LayerSpan, ...]:
        spans: list[LayerSpan] = []
        start = 0
        last = {layer.stage: layer.name for layer in self._layers}
        for layer, shape in zip(self._layers, self._shapes, strict=True):
            dim = shape.channels
            spans.append(LayerSpan(layer.name, layer.stage, start, dim, last[layer.stage] == layer.name))
            start += dim
        if self._logits:
            spans.append(LayerSpan(LOGITS, LOGITS, start, self._logits.values[0], last=False))
        return tuple(spans)


def build_layered(backbone: Mapping[str, Any], input: Mapping[str, Any], pretrained: Pretrained) -> LayeredNetwork:
    """``backbone``: {name, weights}. All layers that have a name and weights, in eval mode; logits where there are any.

    Raises StudyError for images it cannot take and weights that do not fit.
    """
    draft = draft_of(pretrained.architecture or {"backbone": backbone["name"]}, pretrained)
    complete = _complete(draft, pretrained)
    layers = _layers(draft, pretrained, complete)
    default = draft.division.layer(pretrained.layer)
    assert default is not None
    fed = (draft.channels, *fed_shape(input)[1:])
    try:
        network = LayeredNetwork(draft.body, layers, default.name, fed, logits=complete and pretrained.state is not None)
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(f"{draft.name} does not take images of {fed[-1]} pixels ({reason})") from error
    if pretrained.state is not None:
        load_state(network.body, draft, pretrained)
    return network


def _complete(draft: Draft, pretrained: Pretrained) -> bool:
    """Whether there are weights for the network's own classifier."""
    if pretrained.state is None:
        return True
    there = convert(draft.name, draft.body, pretrained.state)
    own = [name for name in draft.keys if draft.head and name.startswith(f"{draft.head}.")]
    return bool(own) and all(any(name.endswith(key) for name in there) for key in own)


def _layers(draft: Draft, pretrained: Pretrained, complete: bool) -> list[Layer]:
    """Up to the layer that an earlier study's model was cut at; else without the classifier's weights none of its own part."""
    layers = list(draft.division.layers)
    cut = draft.division.layer(pretrained.layer) if pretrained.layer is not None else None
    if cut is not None and cut in layers:
        return layers[: layers.index(cut) + 1]
    return layers if complete else [layer for layer in layers if layer.stage not in draft.division.extra]
