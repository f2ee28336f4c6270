"""The moving average of a network's weights (Polyak averaging; the decay's run-in as TensorFlow's ExponentialMovingAverage)."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

N = TypeVar("N", bound=nn.Module)


class Average(Generic[N]):
    """A second network whose trained weights are the average of the first one's; buffers are copies.

    After update t (from 1): average = d · average + (1 - d) · weight, with d = min(decay, (1 + t) / (10 + t)).
    """

    def __init__(self, network: N, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: N, t: int) -> None:
        """Take in the weights after update ``t``. Frozen weights are left alone, to the bit."""
        decay = min(self._decay, (1 + t) / (10 + t))
        for mean, weight in zip(self.network.parameters(), network.parameters(), strict=True):
            if weight.requires_grad:
                mean.lerp_(weight.detach(), 1 - decay)
        for copied, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            copied.copy_(buffer)
