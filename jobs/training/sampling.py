"""Which images make up which batch: a seeded permutation for every pass, cut into batches."""

from __future__ import annotations

import torch
from torch import Tensor

from jobs.randomness import generator
from tlbatch import nouns


class Sampler:
    """Batches of indices into n training images; a pure function of (seed, epoch, step).

    ``steps_per_epoch`` None: an epoch is one pass; a last batch of one image joins the batch before it (batch statistics of one
    image are no statistics). Otherwise an epoch is so many full batches of a stream of passes, each a new permutation.
    """

    def __init__(self, n: int, batch_size: int, seed: int, steps_per_epoch: int | None = None) -> None:
        if n < 1:
            raise ValueError(f"no training {nouns.items()} to sample from")
        self.n, self.batch_size, self.seed, self._fixed_steps = n, batch_size, seed, steps_per_epoch
        self._cached: tuple[int, Tensor] | None = None

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        if self._fixed_steps is not None:
            return self._fixed_steps
        full, rest = divmod(self.n, self.batch_size)
        return max(1, full + (rest > 1))

    @property
    def images(self) -> int:
        """Images an epoch."""
        return self.n if self._fixed_steps is None else self._fixed_steps * self.batch_size

    def batch(self, epoch: int, step: int) -> Tensor:
        """int64 indices of one batch."""
        if self._fixed_steps is None:
            end = self.n if step == self.steps - 1 else (step + 1) * self.batch_size
            return self._pass(epoch)[step * self.batch_size : end]
        start = (epoch * self._fixed_steps + step) * self.batch_size
        places = torch.arange(start, start + self.batch_size)
        passes = places // self.n
        return torch.cat([self._pass(p)[places[passes == p] % self.n] for p in range(int(passes[0]), int(passes[-1]) + 1)])

    def _pass(self, number: int) -> Tensor:
        if self._cached is None or self._cached[0] != number:
            self._cached = (number, torch.randperm(self.n, generator=generator(self.seed, "order", number)))
        return self._cached[1]
