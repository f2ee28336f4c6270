"""A model as others run it: items in, probabilities out; what normalises them is inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jobs.kinds import feed_of
from jobs.models.network import Network

BATCH = 32


class Whole(nn.Module):
    """The networks of one seed (its folds) and how they are fed. On the CPU, in float32, in eval mode.

    The networks are no submodules: tracing follows what they do, not how they are nested (a cut backbone leaves its body in
    the middle, which tracers that keep a stack of modules do not survive).
    """

    def __init__(self, networks: Sequence[Network], settings: Mapping[str, Any], temperature: float | None) -> None:
        super().__init__()
        self.__dict__["networks"] = list(networks)
        self.settings, self.temperature = dict(settings), temperature
        self._normalise = feed_of(settings).normaliser(settings)
        for network in networks:
            network.requires_grad_(False)
        self.eval()

    @property
    def outputs(self) -> list[str]:
        return ["probabilities"] if self.temperature is None else ["probabilities", "calibrated"]

    def forward(self, items: Tensor) -> tuple[Tensor, ...]:
        """[n, …] items as their kind loads them, to ``outputs``, each [n, classes]: the mean of the networks' probabilities."""
        fed = self._normalise(items)
        logits = [network(fed) for network in self.__dict__["networks"]]
        found = [_mean(logits)]
        if self.temperature is not None:
            found.append(_mean([one / self.temperature for one in logits]))
        return tuple(found)

    @torch.inference_mode()
    def probabilities(self, items: Tensor) -> Tensor:
        """[n, classes] of many items, in batches."""
        pieces = [self(items[start : start + BATCH])[0] for start in range(0, len(items), BATCH)]
        return torch.cat(pieces)


def _mean(logits: Sequence[Tensor]) -> Tensor:
    return torch.stack([torch.softmax(one, dim=1) for one in logits]).mean(dim=0)
