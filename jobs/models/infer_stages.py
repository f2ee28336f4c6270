"""Stages and layers of networks that the catalogue does not describe, from a forward pass on shapes alone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from jobs.models.stages import PRE_LOGITS, Division, Layer, Stage
from jobs.models.truncate import Tap, Walk, walk

FEWEST = 4
SHARE = 0.001
"""A piece with less than a thousandth of the parameters is no stage of its own."""
NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
MOST = 0.8
"""A piece with more of the parameters than this is opened."""
RENAMED = {"head": "neck"}
"""``head`` is what a study puts on top."""


@dataclass(frozen=True)
class Piece:
    """A module and its number of parameters, or a parameter that an opened module holds itself (``own``).

    ``minor``: a normalisation layer, never a stage of its own.
    """

    path: str
    size: int
    own: bool = False
    minor: bool = False


def find_head(network: nn.Module, found: Walk) -> str | None:
    """Path of the classifier: what timm says, else the last dense layer (or convolution) with one output a class.

    None where there is none, as in networks that were published without.
    """
    modules = dict(network.named_modules())
    config = getattr(network, "pretrained_cfg", None)
    if config:
        said = config.get("classifier") or ()
        for path in (said,) if isinstance(said, str) else said:
            if path in found.entered and not isinstance(modules[path], nn.Identity):
                return str(path)
        return None
    outputs = int(getattr(network, "num_classes", 0) or 1000)
    for call in reversed(found.calls):
        shape = call.shape or ()
        last = shape[1:2] if len(shape) == 4 else shape[-1:]
        if isinstance(modules[call.path], nn.Linear | nn.Conv2d) and last == (outputs,):
            return call.path
    return None


def derive_division(network: nn.Module, channels: int, size: int) -> tuple[Division, str | None]:
    """Division and classifier path of any network for square images; the default layer is what its classifier is fed with.

    Stages are its children in the order of the data; the largest one is opened until there are four and none is nearly all.
    """
    found = walk(network, Tap(""), (1, channels, size, size))
    head = find_head(network, found)
    stages = _stages(network, found, head)
    layers = [_last_layer(stage, found) for stage in stages]
    end = Layer(PRE_LOGITS, head or "", stages[-1].name, at_input=head is not None)
    return Division(tuple(stages), (*(layer for layer in layers if layer), end), PRE_LOGITS), head


def derive_stages(network: nn.Module, fed: tuple[int, ...]) -> list[Stage]:
    """Stages of a network without a classifier for items of the shape ``fed``, found likewise; none where it has no modules."""
    return _stages(network, walk(network, Tap(""), (1, *fed)), None)


def _stages(network: nn.Module, found: Walk, head: str | None) -> list[Stage]:
    used = [(order, piece) for piece in _pieces(network, head) if (order := _order(piece, found)) is not None]
    pieces = [piece for _, piece in sorted(used, key=lambda item: item[0])]
    return _group(pieces, sum(piece.size for piece in pieces))


def _order(piece: Piece, found: Walk) -> int | None:
    """When the piece, or the first module inside it, was entered: parameters of opened modules first; None: never."""
    if piece.own:
        return -1
    inside = f"{piece.path}."
    return next((i for i, path in enumerate(found.entered) if path == piece.path or path.startswith(inside)), None)


def _pieces(network: nn.Module, head: str | None) -> list[Piece]:
    opened = {""}
    while True:
        pieces = [piece for path in sorted(opened) for piece in _inside(network, path, opened, head)]
        total = sum(piece.size for piece in pieces)
        large = [piece for piece in pieces if _is_large(piece, total)]
        inner = [piece for piece in large if any(True for _ in network.get_submodule(piece.path).children())]
        largest = max(inner, key=lambda piece: piece.size, default=None)
        if largest is None or (len(large) >= FEWEST and largest.size <= MOST * total):
            return pieces
        opened.add(largest.path)


def _inside(network: nn.Module, path: str, opened: set[str], head: str | None) -> list[Piece]:
    """The children of an opened module that are not opened themselves, without the classifier; then its own parameters."""
    module, prefix = network.get_submodule(path), f"{path}." if path else ""
    own = [Piece(f"{prefix}{name}", p.numel(), own=True) for name, p in module.named_parameters(recurse=False)]
    children = [
        Piece(f"{prefix}{name}", _size(child, f"{prefix}{name}", head), minor=isinstance(child, NORMS))
        for name, child in module.named_children()
        if f"{prefix}{name}" not in opened and f"{prefix}{name}" != head
    ]
    return own + children


def _size(module: nn.Module, path: str, head: str | None) -> int:
    """Parameters, the classifier's left out."""
    parameters = module.named_parameters()
    return sum(p.numel() for name, p in parameters if head is None or not f"{path}.{name}".startswith(f"{head}."))


def _is_large(piece: Piece, total: int) -> bool:
    return piece.size >= SHARE * total and piece.size > 0 and not piece.own and not piece.minor


def _group(pieces: list[Piece], total: int) -> list[Stage]:
    """Large pieces open a stage, small ones join the stage before; those before all are the stem."""
    stages: list[tuple[str, list[str]]] = []
    for piece in pieces:
        if _is_large(piece, total):
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
