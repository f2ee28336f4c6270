"""Stages and layers of networks that the catalogue does not describe, from a forward pass on shapes alone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from jobs.models.cutting import Tap, Walk, walk
from jobs.models.stages import PRE_LOGITS, Division, Layer, Stage

FEWEST = 4
SHARE = 0.001
"""A piece with less than a thousandth of the parameters is no stage of its own."""
RENAMED = {"head": "neck"}
"""``head`` is what a study puts on top."""


@dataclass(frozen=True)
class Piece:
    """A module and its number of parameters, or a parameter that an opened module holds itself (``own``)."""

    path: str
    size: int
    own: bool = False


def find_head(network: nn.Module, found: Walk, outputs: int) -> str | None:
    """Path of the classifier: the first dense layer (or 1x1 convolution) with one output a class; None: not recognised."""
    modules = dict(network.named_modules())
    for call in found.calls:
        shape = call.shape or ()
        last = shape[1:2] if len(shape) == 4 else shape[-1:]
        if isinstance(modules[call.path], nn.Linear | nn.Conv2d) and last == (outputs,):
            return call.path
    return None


def derive_division(network: nn.Module, channels: int, size: int) -> tuple[Division, str | None]:
    """Division and classifier path of any network for square images; the default layer is what its classifier is fed with.

    Stages are its children in the order of the data, the largest one opened until there are at least four.
    """
    outputs = int(getattr(network, "num_classes", 0) or 1000)
    found = walk(network, Tap(""), (1, channels, size, size))
    head = find_head(network, found, outputs)
    order = {path: number for number, path in reversed(list(enumerate(found.entered)))}
    pieces = sorted(_pieces(network, head), key=lambda piece: order.get(piece.path, -1))
    stages = _group([piece for piece in pieces if piece.path in order or piece.size], sum(p.size for p in pieces))
    layers = [_last_layer(stage, found) for stage in stages]
    end = Layer(PRE_LOGITS, head or "", stages[-1].name, at_input=head is not None)
    return Division(tuple(stages), (*(layer for layer in layers if layer), end), PRE_LOGITS), head


def _pieces(network: nn.Module, head: str | None) -> list[Piece]:
    opened = {""}
    while True:
        pieces = [piece for path in sorted(opened) for piece in _inside(network, path, opened, head)]
        total = sum(piece.size for piece in pieces)
        large = [piece for piece in pieces if piece.size >= SHARE * total and not piece.own]
        inner = [piece for piece in large if any(True for _ in network.get_submodule(piece.path).children())]
        if len(large) >= FEWEST or not inner:
            return pieces
        opened.add(max(inner, key=lambda piece: piece.size).path)


def _inside(network: nn.Module, path: str, opened: set[str], head: str | None) -> list[Piece]:
    """The children of an opened module that are not opened themselves, without the classifier; then its own parameters."""
    module, prefix = network.get_submodule(path), f"{path}." if path else ""
    own = [Piece(f"{prefix}{name}", p.numel(), own=True) for name, p in module.named_parameters(recurse=False)]
    children = [
        Piece(f"{prefix}{name}", _size(child, f"{prefix}{name}", head))
        for name, child in module.named_children()
        if f"{prefix}{name}" not in opened and f"{prefix}{name}" != head
    ]
    return own + children


def _size(module: nn.Module, path: str, head: str | None) -> int:
    """Parameters, the classifier's left out."""
    parameters = module.named_parameters()
    return sum(p.numel() for name, p in parameters if head is None or not f"{path}.{name}".startswith(f"{head}."))


def _group(pieces: list[Piece], total: int) -> list[Stage]:
    """Large pieces open a stage, small ones join the stage before; those before all are the stem."""
    stages: list[tuple[str, list[str]]] = []
    for piece in pieces:
        if piece.size >= SHARE * total and piece.size and not piece.own:
            stages.append((RENAMED.get(piece.path, piece.path), [piece.path]))
        elif stages:
            stages[-1][1].append(piece.path)
        else:
            stages.append(("stem", [piece.path]))
    return [Stage(name, tuple(paths)) for name, paths in stages]


def _last_layer(stage: Stage, found: Walk) -> Layer | None:
    """The last of the stage's own modules that put out a tensor."""
    for call in reversed(found.calls):
        if call.path in stage.layers and call.shape is not None and len(call.shape) > 1:
            return Layer(stage.name, call.path, stage.name)
    return None
