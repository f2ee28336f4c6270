"""What a network holds in memory for an image: kept for the backward pass, and at work in a forward pass. By stage.

Measured on the meta device, so without memory and at any size: autograd's own hooks tell which tensors it keeps, and each
storage counts once (what a ReLU in place shares with the convolution after it is one tensor). Weights do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jobs.models.stages import Stage

BATCH = 2  # BatchNorm in train mode wants more than one value a channel


@dataclass(frozen=True)
class Held:
    """Bytes an image in float32. ``kept``: by a stage for its backward pass; ``working``: by its largest layer, in and out."""

    kept: int
    working: int


def held_by_stage(network: nn.Module, stages: Sequence[Stage], size: int) -> dict[str, Held]:
    """``network`` on the meta device; all of it learns. What no stage names is the classifier's, and left out."""
    network.train().requires_grad_(True)
    kept, working, where = dict.fromkeys((s.name for s in stages), 0), dict.fromkeys((s.name for s in stages), 0), [""]
    own = {tensor.untyped_storage()._cdata for tensor in (*network.parameters(), *network.buffers())}
    seen: set[int] = set()
    alive: list[Tensor] = []  # so that no storage's address is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if where[0] and storage._cdata not in own and storage._cdata not in seen:
            seen.add(storage._cdata)
            alive.append(tensor)
            kept[where[0]] += storage.nbytes()
        return tensor

    def work(stage: str, bytes_: int) -> None:
        working[stage] = max(working[stage], bytes_)

    x = torch.zeros((BATCH, 3, size, size), device="meta")
    with _told(network, stages, where, work), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(x)
    return {stage.name: Held(kept[stage.name] // BATCH, working[stage.name] // BATCH) for stage in stages}


@contextmanager
def _told(network: nn.Module, stages: Sequence[Stage], where: list[str], work: Any) -> Iterator[None]:
    """While inside, ``where`` names the stage that computes, and ``work`` hears of each layer's input and output."""

    def enter(stage: str) -> Any:
        def hook(_module: nn.Module, _args: Any) -> None:
            where[0] = stage

        return hook

    def leave(stage: str) -> Any:
        def hook(_module: nn.Module, args: Any, output: Any) -> None:
            tensors = [t for t in (*args, output) if isinstance(t, Tensor)]
            work(stage, sum(t.nbytes for t in tensors))

        return hook

    handles = []
    for path, module in network.named_modules():
        stage = next((stage.name for stage in stages if stage.holds(path)), None)
        if stage is None:
            continue
        handles.append(module.register_forward_pre_hook(enter(stage)))
        if not list(module.children()):
            handles.append(module.register_forward_hook(leave(stage)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
