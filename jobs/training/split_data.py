"""The images a task trains on and those it is judged on: never a test image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jobs.data.index import IndexEntry, load_index
from jobs.data.pins import Pins
from jobs.data.split import split_index
from jobs.data.split_groups import units_of
from jobs.training.settings import Settings
from tlbatch.errors import DataError
from tlbatch.store.artifacts import Artifact

Entries = tuple[IndexEntry, ...]


@dataclass(frozen=True)
class Parts:
    """Training and validation images, each sorted by content, and the classes in the order of the network's outputs."""

    train: Entries
    validation: Entries
    classes: Sequence[str]

    def labels(self, entries: Entries) -> Tensor:
        """int64 [n]"""
        places = {name: place for place, name in enumerate(self.classes)}
        return torch.tensor([places[entry.label] for entry in entries], dtype=torch.int64)

    def groups(self) -> list[str]:
        """For each training image a name that its copies, and the images of its group, share."""
        names = {id(entry): unit.entries[0].id for unit in units_of(self.train) for entry in unit.entries}
        return [names[id(entry)] for entry in self.train]


def load_parts(dataset: Artifact, settings: Settings, pins: Pins | None = None) -> Parts:
    """The split of the prepared dataset, or one of its folds. Raises DataError where it leaves a class without training."""
    params = settings.params
    split = split_index(load_index(dataset), params.division, seed_redraw=params.redraw, pins=pins)
    fold = params.fold
    train, validation = (split.train, split.validation) if fold is None else split.fold(fold)
    missing = sorted(set(settings.classes) - {entry.label for entry in train})
    if missing:
        where = "the training images" if fold is None else f"the training images of fold {fold + 1}"
        raise DataError(
            f"{where} show nothing of {', '.join(missing[:5])}: add images, name fewer dataset.split.folds, or leave the class "
            "out (dataset.classes)"
        )
    if not validation and (settings.lr_candidates or _chooses(settings)):
        raise DataError(
            "there are no validation images to choose by: raise dataset.split.validation, or say train.select: last"
        )
    return Parts(train, validation, settings.classes)


def _chooses(settings: Settings) -> bool:
    train = settings.train
    by_epoch = train.select == "best" or train.early_stopping is not None or train.schedule == "plateau"
    return by_epoch and settings.logistic is None
