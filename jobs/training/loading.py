"""From artifacts to what a training is fed: items of the prepared dataset, or features extracted before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jobs.context import Context
from jobs.data.index import read_stored
from jobs.finite import finite
from jobs.kinds import feed_of
from jobs.randomness import seed_of
from jobs.training.batches import TARGET, FeatureFeed
from jobs.training.items import ItemFeed, load_items
from jobs.training.settings import Settings
from jobs.training.split_data import Entries, Parts
from tlbatch.kinds import kind_of
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


def every_view(features: Features, parts: Parts) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str]]:
    """Of the training images and all their views, one view after the other: features [n, d], labels [n], groups [n]."""
    views, n = features.train.shape[:2]
    labels = np.tile(parts.labels(parts.train).numpy(), views)
    return features.train.reshape(views * n, -1), labels, parts.groups() * views


def feature_feed(features: Features, parts: Parts, seed: int, device: torch.device) -> FeatureFeed:
    train, validation = torch.from_numpy(features.train), torch.from_numpy(features.validation)
    return FeatureFeed(train, parts.labels(parts.train), validation, parts.labels(parts.validation), seed, device)


def item_feed(context: Context, settings: Settings, parts: Parts, device: torch.device, role: str = TARGET) -> ItemFeed:
    """Loads the items of both parts of a role as the run feeds them. Raises Stopped when asked to stop meanwhile."""
    parts, item = parts.of(role), kind_of(settings.input.get("kind")).item
    total = len(parts.train) + len(parts.validation)

    def decoded(entries: Entries, before: int) -> Tensor:
        def tick(done: int) -> None:
            context.check_stop()
            context.progress(0, settings.train.epochs, "epochs", f"{item} {before + done} of {total} decoded")

        return _decode(context, settings, entries, tick, input_of(role))

    return ItemFeed(
        decoded(parts.train, 0),
        parts.labels(parts.train),
        decoded(parts.validation, len(parts.train)),
        parts.labels(parts.validation),
        settings=settings.input,
        augmentation=settings.params.augmentation,
        seed=settings.seed if role == TARGET else seed_of(settings.seed, role),
        device=device,
    )


def _decode(context: Context, settings: Settings, entries: Entries, tick: Callable[[int], None], name: str) -> Tensor:
    """[n, …] from the input of this name, as the kind of data loads them; of no entries none, of whatever shape."""
    if not entries:
        return torch.empty(0)
    dataset, kind = context.input(name), feed_of(settings.input)
    here = context.store.local_path("FORMAT") is not None

    def load(number: int) -> Tensor:
        return kind.load(read_stored(dataset, entries[number]), settings.input)

    return load_items(len(entries), load, context.scratch, context.threads if here else FETCHING_THREADS, tick)
