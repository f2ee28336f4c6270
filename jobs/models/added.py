"""Networks and heads of plug-ins: built by the plug-in's program, their first values a function of the seed alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from jobs.models.infer_stages import derive_stages
from jobs.models.stages import Division, Layer, Stage
from jobs.randomness import seed_layers
from tlbatch.errors import StudyError
from tlbatch.plugins import call, program

WHOLE = "network"
"""Where a plug-in's network lies in the body, and the name of its one layer; of its one stage, too, where it has no parts."""


def added_network(scratch: Mapping[str, Any], fed: tuple[int, ...], seed: int) -> tuple[nn.Module, Division]:
    """``{plugin:name: settings}`` for items of the shape ``fed``: the network, and its stages as they are found in it.

    Raises StudyError where it cannot be built, or gives no features of such items.
    """
    ((name, settings),) = scratch.items()
    with seeded(seed, "network", name):
        network = _module(name, program("networks", name)(fed, settings))
    output = _try(name, network, (2, *fed))
    if output.dim() < 2 or len(output) != 2:
        given = f"features of shape {tuple(output.shape)}"
        raise StudyError(f"{name} gives {given} for two items: their first number is not that of the items")
    whole = nn.Sequential(OrderedDict([(WHOLE, network)]))  # nothing of a module that ran to its end is taken for unused
    return whole, _division(network, fed)


def _division(network: nn.Module, fed: tuple[int, ...]) -> Division:
    """The stages found in it, and one layer: what it gives."""
    found = [Stage(stage.name, tuple(f"{WHOLE}.{path}" for path in stage.layers)) for stage in derive_stages(network, fed)]
    stages = found or [Stage(WHOLE, (WHOLE,))]
    return Division(tuple(stages), (Layer(WHOLE, WHOLE, stages[-1].name),), WHOLE)


def added_backbone(name: str, division: Division | None) -> nn.Module:
    """The network of ``plugin:name``, with the first values that torch's generator gives. Raises StudyError."""
    network = _module(name, program("backbones", name)())
    there = {path for path, _ in network.named_modules()} | {path for path, _ in network.named_parameters()}
    stages, layers = (division.stages, division.layers) if division else ((), ())
    said = [*(path for stage in stages for path in stage.layers), *(layer.path for layer in layers)]
    if missing := [path for path in said if path not in there]:
        raise StudyError(
            f"{name} has no module {', '.join(missing)}, which its stages or layers name; ask the plug-in's authors"
        )
    return network


def added_head(dim: int, n_classes: int, head: Mapping[str, Any], seed: int) -> nn.Module:
    """``{plugin:name: settings}``: features [n, dim] to logits [n, n_classes]. Raises StudyError."""
    ((name, settings),) = head.items()
    with seeded(seed, "head", name):
        module = _module(name, program("heads", name)(dim, n_classes, settings))
    output = _try(name, module, (2, dim))
    if tuple(output.shape) != (2, n_classes):
        raise StudyError(f"{name} gives logits of shape {tuple(output.shape)} for two items of {n_classes} classes")
    return module


@contextmanager
def seeded(seed: int, *names: str) -> Iterator[None]:
    """Torch's generator set by the seed and names within; outside it stays where it was."""
    with torch.random.fork_rng(devices=[]):
        seed_layers(seed, *names)
        yield


def _module(name: str, built: Any) -> nn.Module:
    if not isinstance(built, nn.Module):
        raise StudyError(f"{name} is a {type(built).__name__} and no torch.nn.Module; ask the plug-in's authors")
    return built.eval()


@torch.no_grad()
def _try(name: str, module: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """What it gives for zeros of a shape: what does not fit is said before anything is decoded."""
    output = call(name, module, torch.zeros(shape))
    if not isinstance(output, Tensor):
        raise StudyError(f"{name} gives a {type(output).__name__} and no tensor; ask the plug-in's authors")
    return output
