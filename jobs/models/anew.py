"""Stages of a pretrained network that start anew: how far do its features transfer?

Yosinski, Clune, Bengio and Lipson (2014), "How transferable are features in deep neural networks?": the first n layers are
copied, the others start at random; the copied ones are frozen (AnB) or learn too (AnB+).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from jobs.models.building import build_backbone
from jobs.models.initial import initialise
from jobs.models.network import HEAD, Network
from jobs.models.pretrained import Pretrained
from jobs.randomness import seed_of
from tlbatch.strategies.finetune import starting_anew


@torch.no_grad()
def start_anew(
    network: Network, model: Mapping[str, Any], fed: Mapping[str, Any], pretrained: Pretrained, transfer: str, *, seed: int
) -> None:
    """Give all stages after ``transfer``, but the head, the values of a random network of the same kind, in place.

    ``model`` and ``fed`` (the run's input) are what the network was built of. Its BatchNorm layers there count as new.
    """
    anew = starting_anew(transfer, [stage.name for stage in network.backbone.stages])
    drawn = replace(pretrained, state=None, seed=seed_of(seed, "anew"))
    other = build_backbone(model, fed, drawn)
    if "scratch" in (pretrained.architecture or {}):
        initialise(other, seed=drawn.seed, init="torch", prefix="anew.")
    stages = [stage for stage in network.backbone.stages if stage.name in anew]
    values = other.body.state_dict()
    for name, tensor in network.backbone.body.state_dict().items():
        if any(stage.holds(name) for stage in stages):
            tensor.copy_(values[name])
    network.new = frozenset({HEAD, *anew})
