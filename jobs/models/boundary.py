"""Where a network begins to learn. What comes before is a function of the item alone, and can be run once for all epochs.

A network is made to begin there by letting the modules before it hand on what they are fed: its structure, its weights and
their names stay, and ``run_whole`` makes it what it was.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from jobs.models.network import Network
from jobs.models.truncate import Call, Tap, Walk, run_to, unreached

TOLERANCE = 1e-3  # of the largest output, in whatever precision: another function is farther off
OTHERWISE = (RuntimeError, TypeError, ValueError, IndexError, AssertionError, AttributeError)


@dataclass(frozen=True)
class Boundary:
    """``path``: of the first module that learns; what it is fed, and nothing else, comes from the ``passed`` modules before it.

    ``shape`` and ``dtype`` of what it is fed with an item; ``before``: the way there.
    """

    path: str
    passed: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype
    before: Walk


@torch.no_grad()
def find_boundary(network: Network, x: Tensor, learning: Collection[str]) -> Boundary | None:
    """Found, and held against the whole network, by running items ``x`` [n, …] in eval mode. ``learning``: stages that learn.

    None where no weights come before the first stage that learns, or where more than one tensor crosses over: then the network
    begun there would compute something else, or would once a gate opens that is shut as yet.
    """
    network.eval()
    seen = _Seen({id(module) for module in _learning_modules(network, learning)})
    whole = _watched(network, x, seen)
    if seen.path is None or seen.fed is None or len(seen.fed) != len(x):
        return None
    passed = _outermost([call.path for call in seen.before.calls])
    weights = sum(p.numel() for path in passed for p in network.get_submodule(path).parameters())
    if not weights:
        return None
    if any(_within(path, outer) for path in seen.after for outer in passed):
        return None  # a module that runs again behind what learns: dropout does something there, if not in eval mode
    found = Boundary(seen.path, passed, tuple(seen.fed.shape[1:]), seen.fed.dtype, seen.before)
    return found if _same(network, found, seen.fed, whole) and not _crossed(network, found, x) else None


def begin_at(network: nn.Module, boundary: Boundary) -> None:
    """From here on ``network``, and copies of it, take what the boundary is fed instead of items."""
    for path in boundary.passed:
        vars(network.get_submodule(path))["forward"] = _hand_on


def run_whole(network: nn.Module) -> None:
    """Take items again."""
    for module in network.modules():
        if vars(module).get("forward") is _hand_on:
            del vars(module)["forward"]


class Before(nn.Module):
    """A copy of the network up to the boundary: items [n, *fed] to rows [n, d], maps with the channels last."""

    def __init__(self, network: nn.Module, boundary: Boundary, fed: tuple[int, ...]) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        for path in {*unreached(self.network, boundary.before), boundary.path}:
            self.network.set_submodule(path, _hollow(self.network.get_submodule(path)))
        self._tap, self.fed = Tap(boundary.path, at_input=True), fed
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        output = run_to(self.network, self._tap, x).output
        assert output is not None
        return (output.permute(0, 2, 3, 1) if output.dim() == 4 else output).flatten(1)


def _hollow(module: nn.Module) -> nn.Module:
    """Modules of the same names without weights: places to listen at, of which some code wants to know."""
    shell = nn.Identity()
    for name, child in module.named_children():
        shell.add_module(name, _hollow(child))
    return shell


def unflattened(rows: Tensor, boundary: Boundary) -> Tensor:
    """[n, *shape] of rows [n, d] as ``Before`` makes them; maps lie with the channels last. No copy."""
    if len(boundary.shape) != 3:
        return rows.view(len(rows), *boundary.shape)
    channels, height, width = boundary.shape
    return rows.view(len(rows), height, width, channels).permute(0, 3, 1, 2)


def _hand_on(x: Tensor, *_args: Any, **_settings: Any) -> Tensor:
    return x


@dataclass
class _Seen:
    """What was met on the way until one of the ``learning`` modules (ids) was entered, at ``path`` with ``fed``.

    ``after``: what was entered then.
    """

    learning: set[int]
    path: str | None = None
    fed: Tensor | None = None
    before: Walk = field(default_factory=Walk)
    after: list[str] = field(default_factory=list)

    def enter(self, path: str, module: nn.Module, args: tuple[Any, ...], settings: dict[str, Any]) -> None:
        if self.path is not None:
            self.after.append(path)
        elif id(module) in self.learning:
            self.path = path
            if len(args) == 1 and not settings and isinstance(args[0], Tensor):
                self.fed = args[0].detach().clone()  # a module may work in place
        else:
            self.before.entered.append(path)

    def leave(self, path: str) -> None:
        if self.path is None:
            self.before.calls.append(Call(path, None))


def _watched(network: nn.Module, x: Tensor, seen: _Seen) -> Tensor:
    def entering(path: str) -> Any:
        return lambda module, args, settings: seen.enter(path, module, args, settings)

    def leaving(path: str) -> Any:
        return lambda _module, _args, _output: seen.leave(path)

    handles: list[Any] = []
    for path, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(entering(path), with_kwargs=True))
        handles.append(module.register_forward_hook(leaving(path)))
    try:
        output: Tensor = network(x)
        return output
    finally:
        for handle in handles:
            handle.remove()


def _learning_modules(network: Network, learning: Collection[str]) -> list[nn.Module]:
    """All modules of these stages, and whatever holds one of their parameters itself."""
    inside = [module for name in learning for outer in network.modules_of(name) for module in outer.modules()]
    own = {id(parameter) for name in learning for parameter in network.parameters_of(name)}
    holding = [
        module for module in network.modules() if any(id(parameter) in own for parameter in module.parameters(recurse=False))
    ]
    return inside + holding


def _outermost(paths: list[str]) -> tuple[str, ...]:
    return tuple(path for path in dict.fromkeys(paths) if not any(other != path and _within(path, other) for other in paths))


def _within(path: str, outer: str) -> bool:
    return path == outer or path.startswith(f"{outer}.")


def _same(network: nn.Module, boundary: Boundary, fed: Tensor, whole: Tensor) -> bool:
    """Whether the network begun at the boundary is fed the very same there, and puts out what the whole does."""
    reached: list[Tensor] = []
    begin_at(network, boundary)
    at = network.get_submodule(boundary.path).register_forward_pre_hook(lambda _module, args: reached.append(args[0].clone()))
    try:
        found = network(fed.clone())
    except OTHERWISE:  # what lies between the modules does not fit what they handed on
        return False
    finally:
        at.remove()
        run_whole(network)
    if not isinstance(found, Tensor) or found.shape != whole.shape or not torch.equal(reached[0], fed):
        return False
    return bool((found.float() - whole.float()).abs().max() <= TOLERANCE * whole.float().abs().max())


@torch.enable_grad()
def _crossed(network: nn.Module, boundary: Boundary, x: Tensor) -> bool:
    """Whether what is put out follows from items otherwise than by what the boundary is fed: by a gate that is shut, too."""
    reached: list[bool] = []

    def cut(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        first = not reached
        reached.append(True)
        return (args[0].detach().clone(),) if first else None

    items = x.detach().clone().requires_grad_()
    at = network.get_submodule(boundary.path).register_forward_pre_hook(cut)
    try:
        output = network(items.clone())  # a module may work in place
        return output.requires_grad and torch.autograd.grad(output.sum(), items, allow_unused=True)[0] is not None
    except OTHERWISE:
        return True
    finally:
        at.remove()
