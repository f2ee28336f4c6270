"""Items to train on: loaded once, kept as their kind has them; varied and normalised in batches where the computation is."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from jobs.kinds import feed_of, vary, vary_rows
from jobs.kinds.feed import Feed, laid_out
from jobs.randomness import generator
from jobs.training.batches import VALIDATION_BATCH

MEMORY_BYTES = 2 * 2**30  # beyond it, items lie in a file that the system pages in and out
SHOWN, VARIANTS = 4, 5
CHUNK = 256  # items handed to the decoding threads at a time: bounds what is decoded but not yet stored


def room_for(n: int, like: Tensor, folder: Path, memory_bytes: int) -> Tensor:
    """[n, …] for items of one shape and type; in memory, or in a file in ``folder`` where they are too many.

    Raises OSError where the disk has no room for all of them: a page of a mapped file that finds none ends the process.
    """
    size = (n, *like.shape)
    if math.prod(size) * like.element_size() <= memory_bytes:
        return torch.empty(size, dtype=like.dtype)
    dtype = like.numpy().dtype
    path = folder / f"items-{uuid4().hex}.{dtype}"
    with path.open("w+b") as file:
        if sys.platform == "linux":  # elsewhere there may be no such call: pages are given room when they are written
            os.posix_fallocate(file.fileno(), 0, math.prod(size) * dtype.itemsize)
        file.truncate(math.prod(size) * dtype.itemsize)
    return torch.from_numpy(np.memmap(path, dtype=dtype, mode="r+", shape=size))


def load_items(
    n: int,
    load: Callable[[int], Tensor],
    folder: Path,
    threads: int,
    tick: Callable[[int], None] = lambda done: None,
    memory_bytes: int = MEMORY_BYTES,
) -> Tensor:
    """[n, …] of ``load(0)`` … ``load(n - 1)``, all of one shape and type, in parallel; ``tick`` hears how many are done."""
    items = room_for(n, load(0), folder, memory_bytes)
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, n, CHUNK):
            for place, item in enumerate(pool.map(load, range(start, min(n, start + CHUNK))), start):
                items[place] = item
            tick(min(n, start + CHUNK))
    return items


class ItemFeed:
    """Batches of items, ``train`` and ``validation`` as their kind loads them (a picture: uint8 [c, h, w])."""

    def __init__(
        self,
        train: Tensor,
        train_labels: Tensor,
        validation: Tensor,
        validation_labels: Tensor,
        *,
        settings: Mapping[str, Any],
        augmentation: Mapping[str, Any] | None,
        seed: int,
        device: torch.device,
    ) -> None:
        self._train, self._validation = train, validation
        self.train_labels, self.validation_labels = train_labels, validation_labels
        self._settings, self._normalise = settings, feed_of(settings).normaliser(settings)
        self._augmentation, self._seed, self._device = augmentation, seed, device

    @property
    def train(self) -> Tensor:
        """[n, …] as their kind loads them."""
        return self._train

    @property
    def validation(self) -> Tensor:
        """[m, …], likewise."""
        return self._validation

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input to the network; of a picture [c, h, w]."""
        return tuple(self._fed(self._train[:1].to(self._device)).shape[1:])

    def batch(self, indices: Tensor, epoch: int, step: int) -> Tensor:
        return self._fed(self.varied(indices, epoch, step))

    def varied(self, indices: Tensor, epoch: int, step: int) -> Tensor:
        """Some training items as this place in the training has them."""
        items = self._train[indices].to(self._device)
        if not self._augmentation:
            return items
        return vary(self._settings, items.float(), self._augmentation, generator(self._seed, "augment", epoch, step))

    def batch_rows(self, indices: Tensor, rows: slice, epoch: int, step: int) -> Tensor:
        """``batch(indices, epoch, step)[rows]``: chance is by an item's place in the batch, whoever computes the rest of it."""
        if not self._augmentation:
            return self._fed(self._train[indices[rows]].to(self._device))
        chance = generator(self._seed, "augment", epoch, step)

        def load(rows: slice) -> Tensor:
            return self._train[indices[rows]].to(self._device).float()

        return self._fed(vary_rows(self._settings, load, self._augmentation, chance, len(indices), rows))

    def plain(self, indices: Tensor) -> Tensor:
        """Some training items, unvaried."""
        return self._train[indices]

    def plain_batches(self, indices: Tensor) -> Iterator[Tensor]:
        """Some training inputs in this order, unvaried, at most VALIDATION_BATCH at a time."""
        for start in range(0, len(indices), VALIDATION_BATCH):
            yield self._fed(self.plain(indices[start : start + VALIDATION_BATCH]).to(self._device))

    def validation_batches(self) -> Iterator[Tensor]:
        for start in range(0, len(self._validation), VALIDATION_BATCH):
            yield self._fed(self._validation[start : start + VALIDATION_BATCH].to(self._device))

    def _fed(self, items: Tensor) -> Tensor:
        return laid_out(self._normalise(items))


def varied_sheet(feed: ItemFeed, kind: Feed) -> bytes | None:
    """A picture file: a row for each of four training items spread over the part, plain first, then as five epochs have it."""
    n = len(feed.train_labels)
    chosen = torch.arange(0, n, max(1, n // SHOWN))[:SHOWN]
    columns = [feed.plain(chosen), *(feed.varied(chosen, epoch, 0) for epoch in range(VARIANTS))]
    return kind.varied_sheet([[column[row] for column in columns] for row in range(len(chosen))])
