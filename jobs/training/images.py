"""Training images: decoded and resized once, kept as uint8; varied and normalised in batches where the computation is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jobs.data.augmentation import apply, draw
from jobs.randomness import generator
from jobs.training.batches import VALIDATION_BATCH

MEMORY_BYTES = 2 * 2**30  # beyond it, images lie in a file that the system pages in and out
CHUNK = 256  # images handed to the decoding threads at a time: bounds what is decoded but not yet stored


class ImageStore:
    """n images of one size, uint8 [n, c, h, w], filled once. In memory, or in a file in ``folder`` where they are too many."""

    def __init__(self, n: int, shape: Sequence[int], folder: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        size = (n, *shape)
        if math.prod(size) <= memory_bytes:
            self.images = torch.empty(size, dtype=torch.uint8)
            return
        self._path = folder / f"images-{id(self):x}.uint8"
        self.images = torch.from_numpy(np.memmap(self._path, dtype=np.uint8, mode="w+", shape=size))


def load_images(
    n: int,
    load: Callable[[int], Tensor],
    folder: Path,
    threads: int,
    tick: Callable[[int], None] = lambda done: None,
    memory_bytes: int = MEMORY_BYTES,
) -> Tensor:
    """uint8 [n, c, h, w] of ``load(0)`` … ``load(n - 1)`` (each [c, h, w]), in parallel; ``tick`` hears how many are done."""
    first = load(0)
    images = ImageStore(n, first.shape, folder, memory_bytes).images
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, n, CHUNK):
            for place, image in enumerate(pool.map(load, range(start, min(n, start + CHUNK))), start):
                images[place] = image
            tick(min(n, start + CHUNK))
    return images


class ImageFeed:
    """Batches of images. ``normalise`` turns float or uint8 pixels [n, c, h, w] in 0..255 into what the network is fed."""

    def __init__(
        self,
        train: Tensor,
        train_labels: Tensor,
        validation: Tensor,
        validation_labels: Tensor,
        *,
        normalise: Callable[[Tensor], Tensor],
        augmentation: Mapping[str, Any] | None,
        seed: int,
        device: torch.device,
    ) -> None:
        self._train, self._validation = train, validation
        self.train_labels, self.validation_labels = train_labels, validation_labels
        self._normalise, self._augmentation, self._seed, self._device = normalise, augmentation, seed, device

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input to the network: [c, h, w]."""
        return tuple(self._fed(self._train[:1].to(self._device)).shape[1:])

    def batch(self, indices: Tensor, epoch: int, step: int) -> Tensor:
        return self._fed(self.varied(indices, epoch, step))

    def varied(self, indices: Tensor, epoch: int, step: int) -> Tensor:
        """Pixels [n, c, h, w] of some training images, 0..255, as this place in the training has them."""
        pixels = self._train[indices].to(self._device)
        if not self._augmentation:
            return pixels
        height, width = pixels.shape[2:]
        changes = draw(self._augmentation, len(pixels), generator(self._seed, "augment", epoch, step), (height, width))
        return apply(pixels.float(), changes)

    def plain(self, indices: Tensor) -> Tensor:
        """uint8 pixels [n, c, h, w] of some training images, unvaried."""
        return self._train[indices]

    def validation_batches(self) -> Iterator[Tensor]:
        for start in range(0, len(self._validation), VALIDATION_BATCH):
            yield self._fed(self._validation[start : start + VALIDATION_BATCH].to(self._device))

    def _fed(self, pixels: Tensor) -> Tensor:
        return self._normalise(pixels).contiguous(memory_format=torch.channels_last)
