"""Taking the output of an inner layer, and dropping what comes after it.

Networks of torchvision and timm are no chains of modules, so a layer's output is caught where it arises: a hook on the
module keeps it and ends the forward pass. Modules that were not reached until then are not part of the network.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

PLAIN = frozenset(
    {
        *(f"torchvision.models.{name}" for name in ("alexnet", "inception", "mobilenetv2", "resnet", "squeezenet", "vgg")),
        *(f"timm.models.{name}" for name in ("efficientnet", "xception")),
    }
)
"""Modules of networks that put out a row an item wherever one looks: none cuts items into windows and puts those in a row,
of which no item would not tell how many there are. Those of the catalogue."""


class _ReachedError(Exception):
    """The output that ``by`` waits for is there: the rest of its forward pass, which may lie within another, is not needed."""

    def __init__(self, by: Caught) -> None:
        super().__init__()
        self.by = by


@dataclass(frozen=True)
class Tap:
    """What to catch: the output of the module at ``path``, or (``at_input``) what it is fed with; "" is the network."""

    path: str
    at_input: bool = False


@dataclass
class Caught:
    """``output`` of the tap; ``seen``: the output of the second path asked for, where it was met before."""

    output: Tensor | None = None
    seen: Tensor | None = None


def run_to(network: nn.Module, tap: Tap, x: Tensor, also: str | None = None) -> Caught:
    """Run ``network`` on ``x`` until ``tap``; ``also`` is a module whose output is kept on the way."""
    caught = Caught()
    with _hooks(network, tap, caught, also):
        try:
            output = network(x)
        except _ReachedError as reached:
            if reached.by is not caught:
                raise
            return caught
    caught.output = output if caught.output is None else caught.output
    return caught


@contextmanager
def _hooks(network: nn.Module, tap: Tap, caught: Caught, also: str | None) -> Iterator[None]:
    """Hooks for one forward pass. Nothing is left on the modules, so networks can be copied at any time."""

    def keep_output(_module: nn.Module, _args: Any, output: Tensor) -> None:
        caught.output = output
        raise _ReachedError(caught)

    def keep_input(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        caught.output = args[0]
        raise _ReachedError(caught)

    def see(_module: nn.Module, _args: Any, output: Tensor) -> None:
        caught.seen = output

    handles: list[Any] = []
    if also is not None:
        handles.append(network.get_submodule(also).register_forward_hook(see))
    if tap.at_input:
        handles.append(network.get_submodule(tap.path).register_forward_pre_hook(keep_input))
    elif tap.path:
        handles.append(network.get_submodule(tap.path).register_forward_hook(keep_output))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class Ear:
    """Where to listen on the way, and what to make of what is heard, at once."""

    tap: Tap
    take: Callable[[Tensor], Tensor]


def hear(network: nn.Module, ears: Sequence[Ear], end: Tap, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """Run ``network`` once up to ``end``: what each ear took the first time that it heard something, and the end's output.

    Raises ValueError where an ear heard nothing on the way.
    """
    heard: dict[int, Tensor] = {}
    handles = [_listen(network, number, ear, heard) for number, ear in enumerate(ears)]
    try:
        output = run_to(network, end, x).output
    finally:
        for handle in handles:
            handle.remove()
    missed = [ear.tap.path for number, ear in enumerate(ears) if number not in heard]
    if missed or output is None:
        raise ValueError(f"nothing came by {', '.join(missed)}")
    return [heard[number] for number in range(len(ears))], output


def _listen(network: nn.Module, number: int, ear: Ear, heard: dict[int, Tensor]) -> Any:
    def take(value: Tensor) -> None:
        if number not in heard:
            heard[number] = ear.take(value)

    module = network.get_submodule(ear.tap.path)
    if ear.tap.at_input:
        return module.register_forward_pre_hook(lambda _module, args: take(args[0]))
    return module.register_forward_hook(lambda _module, _args, output: take(output))


@dataclass(frozen=True)
class Call:
    """One finished call of a module on the way: its path and the shape of its output (None: not a tensor)."""

    path: str
    shape: tuple[int, ...] | None


@dataclass
class Walk:
    """A forward pass on shapes alone: modules in the order they were entered and left, and the caught output's shape."""

    entered: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    shape: tuple[int, ...] = ()


def walk(network: nn.Module, tap: Tap, shape: tuple[int, ...]) -> Walk:
    """Run a twin of ``network``, whose memory is never touched, with an input of ``shape``, of one item, until ``tap``.

    A ``PLAIN`` one is given no item at all: nothing is computed, and torch's own operations say the shapes in a quarter of the
    time that their counterparts for the meta device, in Python, take. That is where others run, but those with constants that
    name their own device: where they are, on zeros.
    """
    if (found := _walk_of_none(network, tap, shape)) is not None:
        return found
    empty = all(tensor.is_meta for tensor in network.state_dict().values())
    try:
        return _walk(network if empty else _empty_twin(network, "meta"), tap, torch.zeros(shape, device="meta"))
    except (RuntimeError, NotImplementedError):
        if empty:
            raise
        return _walk(copy.deepcopy(network), tap, torch.zeros(shape))


def _walk_of_none(network: nn.Module, tap: Tap, shape: tuple[int, ...]) -> Walk | None:
    """The walk of one item, by an input of no item; None of a network that is not known to be ``PLAIN``, or does not take one.

    Nor of one that is to train: its BatchNorm may refuse a single item.
    """
    if type(network).__module__ not in PLAIN or network.training:
        return None
    try:
        found = _walk(_empty_twin(network, "cpu"), tap, torch.zeros((0, *shape[1:])))
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError):
        return None
    found.calls = [Call(call.path, call.shape and (1, *call.shape[1:])) for call in found.calls]
    found.shape = found.shape and (1, *found.shape[1:])
    return found


def _empty_twin(network: nn.Module, device: str) -> nn.Module:
    """A copy on ``device`` with any values; the tensors' memory is never copied."""
    memo: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device=device), p.requires_grad) for p in network.parameters()
    }
    memo |= {id(buffer): torch.empty_like(buffer, device=device) for buffer in network.buffers()}
    return copy.deepcopy(network, memo)


@torch.no_grad()
def _walk(network: nn.Module, tap: Tap, x: Tensor) -> Walk:
    found, caught = Walk(), Caught()
    handles: list[Any] = []
    for path, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(_enter(found, path)))
        handles.append(module.register_forward_hook(_leave(found, path)))
    try:
        with _hooks(network, tap, caught, None), suppress(_ReachedError):
            caught.output = network(x)
    finally:
        for handle in handles:
            handle.remove()
    found.shape = _shape(caught.output) or ()
    return found


def _enter(found: Walk, path: str) -> Any:
    def hook(_module: nn.Module, _args: Any) -> None:
        found.entered.append(path)

    return hook


def _leave(found: Walk, path: str) -> Any:
    def hook(_module: nn.Module, _args: Any, output: Any) -> None:
        found.calls.append(Call(path, _shape(output)))

    return hook


def _shape(output: Any) -> tuple[int, ...] | None:
    return tuple(output.shape) if isinstance(output, Tensor) else None


def unreached(network: nn.Module, found: Walk) -> list[str]:
    """Paths of the outermost modules that a walk did not use. A module that was run to its end keeps all it holds."""
    entered, finished = set(found.entered), {call.path for call in found.calls}
    used = {path[: i or None] for path in entered for i in _ends(path)}
    drop: list[str] = []

    def visit(prefix: str, module: nn.Module) -> None:
        for name, child in module.named_children():
            path = f"{prefix}{name}"
            if path not in used:
                drop.append(path)
            elif path not in finished:
                visit(f"{path}.", child)

    visit("", network)
    return drop


def _ends(path: str) -> list[int]:
    """Where the path's ancestors (and itself, 0) end."""
    return [0, *(i for i, letter in enumerate(path) if letter == ".")]


def drop_modules(network: nn.Module, paths: list[str]) -> None:
    """Remove modules: from a chain outright, elsewhere by leaving an Identity (code may count them, or ask for them)."""
    for path in paths:
        parent_path, _, name = path.rpartition(".")
        parent = network.get_submodule(parent_path)
        if isinstance(parent, nn.Sequential):
            delattr(parent, name)
        elif any(True for _ in parent.get_submodule(name).state_dict()):
            setattr(parent, name, nn.Identity())
