"""What a training is fed: labelled batches, wherever they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from jobs.randomness import generator
from tlbatch.roles import TARGET

__all__ = ["TARGET", "VALIDATION_BATCH", "At", "Batch", "FeatureFeed", "Feed"]

VALIDATION_BATCH = 64


@dataclass(frozen=True)
class At:
    """Where a training is when it takes a step: all chance in it follows from this. ``share`` of it is done, from 0 to 1."""

    seed: int
    epoch: int
    step: int
    share: float

    def generator(self, purpose: str) -> torch.Generator:
        """A fresh one on the CPU for one purpose of this step."""
        return generator(self.seed, purpose, self.epoch, self.step)


@dataclass(frozen=True)
class Batch:
    """What a step is given of one role: ``x`` [n, …] on the network's device, ``labels`` int64 [n] on the CPU."""

    x: Tensor
    labels: Tensor
    at: At


class Feed(Protocol):
    """Training and validation inputs, ready for the network, on its device."""

    @property
    def train_labels(self) -> Tensor:
        """int64 [n] on the CPU."""

    @property
    def validation_labels(self) -> Tensor:
        """int64 [m] on the CPU."""

    def batch(self, indices: Tensor, epoch: int, step: int) -> Tensor:
        """Inputs of some training images, varied as this place in the training has it."""

    def validation_batches(self) -> Iterator[Tensor]:
        """All validation inputs in order, unvaried, at most VALIDATION_BATCH at a time."""


class FeatureFeed:
    """Cached features: ``train`` [views + 1, n, d] float32 (plain first, then augmented views), ``validation`` [m, d].

    With views, every image shows one of its views + 1 faces in each epoch, drawn anew.
    """

    def __init__(
        self,
        train: Tensor,
        train_labels: Tensor,
        validation: Tensor,
        validation_labels: Tensor,
        seed: int,
        device: torch.device,
    ) -> None:
        self._train, self._validation = train.to(device), validation.to(device)
        self.train_labels, self.validation_labels = train_labels, validation_labels
        self._seed, self._device = seed, device

    def batch(self, indices: Tensor, epoch: int, step: int) -> Tensor:
        views = len(self._train)
        if views == 1:
            return self._train[0, indices.to(self._device)]
        chosen = torch.randint(views, (len(indices),), generator=generator(self._seed, "view", epoch, step))
        return self._train[chosen.to(self._device), indices.to(self._device)]

    def validation_batches(self) -> Iterator[Tensor]:
        for start in range(0, len(self._validation), VALIDATION_BATCH):
            yield self._validation[start : start + VALIDATION_BATCH]
