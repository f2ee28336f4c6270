"""What a step minimises besides its objective: terms of the weights alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from jobs.training.protocol import HEAD, Trainable

#: the term, a scalar that gradients flow through
Penalty = Callable[[], Tensor]

#: a penalty on a network that has its initial weights
BuildPenalty = Callable[[nn.Module], Penalty]


def l2_sp(alpha: float, beta: float, network: nn.Module) -> Penalty:
    """alpha/2 · |w - w_start|² of the backbone + beta/2 · |w|² of the head, over what learns at the time.

    Li, Grandvalet and Davoine (2018), "Explicit inductive bias for transfer learning with convolutional networks", equation 3;
    of all parameters, those of BatchNorm too. ``network``: with the weights that it starts from. They are kept here, and never
    go into a checkpoint: who goes on with a training builds the same network again.
    """
    stages = cast(Trainable, network)
    start: dict[nn.Parameter, Tensor] = {}
    for stage in stages.stages:
        if stage.name != HEAD:
            start |= {parameter: parameter.detach().clone() for parameter in stages.parameters_of(stage.name)}
    head = list(stages.parameters_of(HEAD))

    def penalty() -> Tensor:
        strayed = [(w - began).square().sum() for w, began in start.items() if w.requires_grad]
        size = [w.square().sum() for w in head]
        return alpha / 2 * _sum(strayed, head) + beta / 2 * _sum(size, head)

    return penalty


def _sum(terms: list[Tensor], like: list[nn.Parameter]) -> Tensor:
    return torch.stack(terms).sum() if terms else like[0].new_zeros(())
