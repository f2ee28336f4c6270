"""From artifacts to what a training is fed: images of the prepared dataset, or features extracted before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jobs.context import Context
from jobs.data.index import read_encoded
from jobs.finite import finite
from jobs.randomness import seed_of
from jobs.training.batches import TARGET, FeatureFeed
from jobs.training.images import ImageFeed, load_images
from jobs.training.settings import Settings
from jobs.training.split_data import Entries, Parts
from tlbatch.roles import input_of, task_of

FETCHING_THREADS = 8
"""For stores elsewhere: most of the time goes into waiting."""


@dataclass(frozen=True)
class Features:
    """``train`` [views + 1, n, d], plain ones first; ``validation`` [m, d]; float32."""

    train: NDArray[np.float32]
    validation: NDArray[np.float32]

    @property
    def dim(self) -> int:
        return int(self.train.shape[2])


def load_run_features(context: Context, settings: Settings, parts: Parts, role: str = TARGET) -> Features:
    """Features of the parts of the target, or of a source, from the run's extract artifact of it."""
    from jobs.data.features import load_features, load_views

    artifact, parts = context.input(task_of("features", role)), parts.of(role)
    ids = [entry.id for entry in parts.train]
    train = load_features(artifact, ids)[None]
    if settings.params.views and role == TARGET:
        train = np.concatenate([train, load_views(artifact, ids, settings.params.redraw)])
    held = [entry.id for entry in parts.validation]
    validation = load_features(artifact, held) if held else np.zeros((0, train.shape[2]), np.float32)
    return Features(finite(train, "features"), finite(validation, "features"))


def feature_feed(features: Features, parts: Parts, seed: int, device: torch.device) -> FeatureFeed:
    train, validation = torch.from_numpy(features.train), torch.from_numpy(features.validation)
    return FeatureFeed(train, parts.labels(parts.train), validation, parts.labels(parts.validation), seed, device)


def image_feed(context: Context, settings: Settings, parts: Parts, device: torch.device, role: str = TARGET) -> ImageFeed:
    """Decodes the images of both parts of a role at the run's size. Raises Stopped when asked to stop meanwhile."""
    from jobs.data.pixels import normaliser

    parts = parts.of(role)
    total = len(parts.train) + len(parts.validation)

    def decoded(entries: Entries, before: int) -> Tensor:
        def tick(done: int) -> None:
            context.check_stop()
            context.progress(0, settings.train.epochs, "epochs", f"image {before + done} of {total} decoded")

        return _decode(context, settings, entries, tick, input_of(role))

    return ImageFeed(
        decoded(parts.train, 0),
        parts.labels(parts.train),
        decoded(parts.validation, len(parts.train)),
        parts.labels(parts.validation),
        normalise=normaliser(settings.input),
        augmentation=settings.params.augmentation,
        seed=settings.seed if role == TARGET else seed_of(settings.seed, role),
        device=device,
    )


def _decode(context: Context, settings: Settings, entries: Entries, tick: Callable[[int], None], name: str) -> Tensor:
    """uint8 [n, c, size, size] from the input of this name."""
    from jobs.data.pixels import load_pixels

    size = int(settings.input["size"])
    if not entries:
        return torch.empty((0, 1 if settings.input.get("grayscale") else 3, size, size), dtype=torch.uint8)
    dataset = context.input(name)
    here = context.store.local_path("FORMAT") is not None

    def load(number: int) -> Tensor:
        return load_pixels(read_encoded(dataset, entries[number]), settings.input)

    return load_images(len(entries), load, context.scratch, context.threads if here else FETCHING_THREADS, tick)
