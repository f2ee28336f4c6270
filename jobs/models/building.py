"""From a run's ``model`` to a network: backbone, head, or both; and a pretrained network with its own classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from jobs.models.added import added_network
from jobs.models.families import FAMILIES
from jobs.models.handcrafted import hand_crafted_backbone
from jobs.models.heads import build_head
from jobs.models.infer_stages import derive_division
from jobs.models.initial import estimate_statistics, initialise
from jobs.models.library import Architecture, find
from jobs.models.network import Backbone, Network
from jobs.models.pretrained import Pretrained
from jobs.models.reading import convert, fit_state
from jobs.models.scratch import scratch_body, scratch_division
from jobs.models.stages import Division, Layer
from jobs.models.truncate import Tap, drop_modules, unreached, walk
from tlbatch.backbones.handcrafted import HAND_CRAFTED
from tlbatch.errors import StudyError
from tlbatch.kinds import fed_shape
from tlbatch.spec.added import added_name

__all__ = ["Classifier", "Draft", "build_backbone", "build_classifier", "build_head", "build_network", "draft_of", "load_state"]

MODEL_SIZE, NOISE_SIZE = 224, 128


def build_network(
    model: Mapping[str, Any],
    input: Mapping[str, Any],
    n_classes: int,
    pretrained: Pretrained | None,
    *,
    seed: int,
    init: str,
) -> Network:
    """The whole network of a run. ``seed`` and ``init`` give the new layers their first values."""
    if model.get("scratch") is not None:
        backbone = _scratch_backbone(model["scratch"], input, seed)
        initialise(backbone, seed=seed, init=init, prefix="backbone.")
        head: Mapping[str, Any] = {}
    else:
        backbone = build_backbone(model, input, pretrained)
        head = model.get("head") or {}
    return Network(backbone, build_head(backbone.dim, n_classes, head, seed=seed, init=init))


def build_backbone(
    model: Mapping[str, Any],
    input: Mapping[str, Any],
    pretrained: Pretrained | None,
) -> Backbone:
    """``model``: backbone {name, weights}, layer, pool. In eval mode, cut at the layer, with the pretrained weights.

    Raises StudyError for layers that the network does not have, images it cannot take and weights that do not fit.
    """
    if model.get("scratch") is not None:
        return _scratch_backbone(model["scratch"], input)
    if model["backbone"]["name"] == HAND_CRAFTED:
        return hand_crafted_backbone(int(input["size"]))
    if pretrained is None:
        raise ValueError("a backbone needs its weights (jobs.models.pretrained.load_pretrained)")
    source = pretrained.architecture or {"backbone": model["backbone"]["name"]}
    wanted = model.get("layer") or pretrained.layer
    draft = draft_of(source, pretrained)
    layer = _layer(draft, wanted)
    backbone = _cut(draft, layer, model.get("pool") or "avg", input, source)
    if pretrained.state is not None:
        load_state(backbone.body, draft, pretrained)
    return backbone


def _scratch_backbone(scratch: Mapping[str, Any], input: Mapping[str, Any], seed: int = 0) -> Backbone:
    fed = fed_shape(input)
    body, division = _scratch(scratch, fed, seed)
    layer = division.layer(None)
    assert layer is not None
    architecture = {"scratch": dict(scratch), "fed": list(fed)}
    return Backbone(body, division, layer, "flatten", fed=fed, architecture=architecture)


def _scratch(scratch: Mapping[str, Any], fed: tuple[int, ...], seed: int) -> tuple[nn.Module, Division]:
    """A study's own network, or a plug-in's, and how it is divided."""
    if added_name(scratch) is not None:
        return added_network(scratch, fed, seed)
    return scratch_body(scratch, fed[0], fed[1]), scratch_division(scratch)


@dataclass(frozen=True)
class Draft:
    """A whole network before it is cut. ``keys``: all names of its state."""

    name: str
    body: nn.Module
    division: Division
    channels: int
    keys: frozenset[str]
    head: str | None = None


def draft_of(source: Mapping[str, Any], pretrained: Pretrained) -> Draft:
    """The whole network that ``source`` names: {"backbone": name} or {"scratch": …, "fed": …}."""
    if "scratch" in source:
        fed = tuple(source["fed"])
        small, parts = _scratch(source["scratch"], fed, 0)
        return Draft("the source model", small, parts, fed[0], frozenset(small.state_dict()))
    architecture = find(source["backbone"])
    body = _body(architecture, pretrained)
    division, head = architecture.division, architecture.head
    if division is None:
        division, head = derive_division(body, 3, _own_size(architecture, body))
    return Draft(architecture.name, body, division, 3, frozenset(body.state_dict()), head)


def _body(architecture: Architecture, pretrained: Pretrained) -> nn.Module:
    """With random values of its seed; without any (meta device) where weights for all of it will come."""
    if pretrained.state is None:
        body = architecture.create_seeded(pretrained.seed)
        usual = architecture.division is not None and architecture.size is None
        estimate_statistics(body, seed=pretrained.seed, size=NOISE_SIZE if usual else _own_size(architecture, body))
        return body
    return architecture.create_empty() if architecture.name in FAMILIES else architecture.create_seeded(0)


def _own_size(architecture: Architecture, body: nn.Module) -> int:
    """The size of images that a network is made for, where it says so."""
    if architecture.size is not None:
        return architecture.size
    own = (getattr(body, "pretrained_cfg", None) or {}).get("input_size")
    fixed = getattr(body, "image_size", None)
    return int(own[-1]) if own else int(fixed) if isinstance(fixed, int) else MODEL_SIZE


def _layer(draft: Draft, wanted: str | None) -> Layer:
    found = draft.division.layer(wanted)
    if found is None:
        raise StudyError(f"unknown layer {wanted!r} of {draft.name}: it has {', '.join(draft.division.names())}")
    return found


def _cut(draft: Draft, layer: Layer, pool: str, input: Mapping[str, Any], source: Mapping[str, Any]) -> Backbone:
    fed = (draft.channels, *fed_shape(input)[1:])
    try:
        return Backbone(draft.body, draft.division, layer, pool, fed=fed, architecture=source)
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(
            f"{draft.name} up to {layer.name} does not take images of {fed[-1]} pixels ({reason}); set input.size"
        ) from error


def load_state(body: nn.Module, draft: Draft, pretrained: Pretrained) -> None:
    """Put the weights into what is left of the draft's network. Raises StudyError where they do not fit."""
    assert pretrained.state is not None
    state = convert(draft.name, body, pretrained.state)
    fit_state(body, state, known=draft.keys, what=pretrained.label, of=draft.name)


class Classifier(nn.Module):
    """A pretrained network with its own classifier: images to logits over what it was trained on.

    Or whatever else it puts out. ``fed``: the shape of an image that it takes.
    """

    def __init__(self, body: nn.Module, fed: tuple[int, ...]) -> None:
        super().__init__()
        self.body, self.fed = body.eval(), fed

    def forward(self, x: Tensor) -> Tensor:
        """[n, outputs]; one-channel images are repeated."""
        logits: Tensor = self.body(x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x)
        return logits


def build_classifier(backbone: Mapping[str, Any], pretrained: Pretrained) -> Classifier:
    """``backbone``: {name, weights}. In eval mode. Raises StudyError where the weights have no classifier."""
    draft = draft_of({"backbone": backbone["name"]}, pretrained)
    size = _own_size(find(backbone["name"]), draft.body)
    drop_modules(draft.body, unreached(draft.body, walk(draft.body, Tap(""), (1, 3, size, size))))
    if pretrained.state is not None:
        load_state(draft.body, draft, pretrained)
    return Classifier(draft.body, (3, size, size))
