"""What a network is made of, as a table: every layer with the shape it puts out, its parameters, and whether they learn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from jobs.training.phases import Phases
from jobs.training.protocol import Trainable

Row = dict[str, Any]


@torch.no_grad()
def layer_table(network: nn.Module, shape: tuple[int, ...], learning: Iterable[str]) -> list[Row]:
    """Rows {name, shape, parameters, trainable, stage} in the network's order; ``shape`` is that of one input.

    A layer is a module without children, or with parameters of its own. Its output shape (without the batch; None where the
    network reads its weights without calling it) is seen on an input of zeros, in eval mode. ``learning``: stages that learn.
    """
    layers = {name: module for name, module in network.named_modules() if _is_layer(module)}
    seen = _output_shapes(network, layers, shape)
    stage_of, rows, stage, learning = _stages(network), [], "", set(learning)
    for name, module in layers.items():
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        if name not in seen and not own:
            continue
        stage = stage_of.get(id(module), stage)
        row = {"name": _short(name), "shape": seen.get(name), "parameters": own, "trainable": stage in learning, "stage": stage}
        rows.append(row)
    return rows


def learning_stages(network: nn.Module, phases: Phases) -> tuple[str, ...]:
    """Names of the stages that learn at some time. Raises StudyError for a stage that the network does not have."""
    return phases.ever([stage.name for stage in cast(Trainable, network).stages])


def stage_table(network: nn.Module, learning: Iterable[str]) -> list[Row]:
    """Rows {name, parameters, trainable} of the stages, input to head."""
    stages, learning = cast(Trainable, network), set(learning)
    counts = {stage.name: sum(p.numel() for p in stages.parameters_of(stage.name)) for stage in stages.stages}
    return [{"name": name, "parameters": count, "trainable": name in learning} for name, count in counts.items()]


def _is_layer(module: nn.Module) -> bool:
    if isinstance(module, nn.Identity):
        return False
    childless = next(module.children(), None) is None
    return childless or next(module.parameters(recurse=False), None) is not None


def _output_shapes(network: nn.Module, layers: dict[str, nn.Module], shape: tuple[int, ...]) -> dict[str, list[int]]:
    seen: dict[str, list[int]] = {}

    def watch(name: str, module: nn.Module) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple | list) and output else output
            if isinstance(first, Tensor):
                seen[name] = list(first.shape[1:])

        return module.register_forward_hook(hook)

    hooks = [watch(name, module) for name, module in layers.items()]
    training = {module: module.training for module in network.modules()}
    try:
        network.eval()
        network(torch.zeros((1, *shape), device=next(network.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
        for module, was in training.items():
            module.training = was
    return seen


def _stages(network: nn.Module) -> dict[int, str]:
    """id of a module -> name of its stage, for all that lies in one."""
    stages = cast(Trainable, network)
    found: dict[int, str] = {}
    for stage in stages.stages:
        own = {id(parameter) for parameter in stages.parameters_of(stage.name)}
        for outer in stages.modules_of(stage.name):
            found |= {id(module): stage.name for module in outer.modules()}
        for module in network.modules():
            if any(id(parameter) in own for parameter in module.parameters(recurse=False)):
                found[id(module)] = stage.name
    return found


def _short(name: str) -> str:
    return name.removeprefix("backbone.body.").removeprefix("backbone.")
