"""A model as others run it: pixels in, probabilities out; its preprocessing beyond resizing is inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jobs.data.pixels import normaliser
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
        self._normalise = normaliser(settings)
        for network in networks:
            network.requires_grad_(False)
        self.eval()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as it is fed."""
        size = int(self.settings["size"])
        return (1 if self.settings["grayscale"] else 3), size, size

    @property
    def outputs(self) -> list[str]:
        return ["probabilities"] if self.temperature is None else ["probabilities", "calibrated"]

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """uint8 [n, c, size, size] to ``outputs``, each [n, classes]: the mean of the networks' probabilities."""
        fed = self._normalise(pixels)
        logits = [network(fed) for network in self.__dict__["networks"]]
        found = [_mean(logits)]
        if self.temperature is not None:
            found.append(_mean([one / self.temperature for one in logits]))
        return tuple(found)

    @torch.inference_mode()
    def probabilities(self, pixels: Tensor) -> Tensor:
        """[n, classes] of many images, in batches."""
        pieces = [self(pixels[start : start + BATCH])[0] for start in range(0, len(pixels), BATCH)]
        return torch.cat(pieces)


def _mean(logits: Sequence[Tensor]) -> Tensor:
    return torch.stack([torch.softmax(one, dim=1) for one in logits]).mean(dim=0)
