"""The test images of a task, and how they are fed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jobs.context import Context
from jobs.data.index import IndexEntry, load_index
from jobs.data.pins import pins_of
from jobs.data.split import Split, split_index
from jobs.data.split_groups import units_of
from jobs.statistics.predictions import Ints
from tlbatch.contracts.data import Divided
from tlbatch.store.artifacts import Artifact


@dataclass(frozen=True)
class Dataset:
    """The prepared dataset and its division; test images are the same for every seed."""

    artifact: Artifact
    split: Split
    classes: list[str]

    @property
    def test(self) -> tuple[IndexEntry, ...]:
        return self.split.test

    @cached_property
    def labels(self) -> Ints:
        """[n] class indices of the test images."""
        return self.labels_of(self.test)

    def labels_of(self, entries: tuple[IndexEntry, ...]) -> Ints:
        place = {name: number for number, name in enumerate(self.classes)}
        return np.array([place[entry.label] for entry in entries], dtype=np.int64)

    @cached_property
    def groups(self) -> Ints:
        """[n] units of the test images: equal for copies of one picture and for images of one group."""
        return unit_numbers(self.test)


def unit_numbers(entries: tuple[IndexEntry, ...]) -> Ints:
    """[n] number of each entry's unit (jobs.data.split_groups)."""
    number = {entry.path: i for i, unit in enumerate(units_of(entries)) for entry in unit.entries}
    return np.array([number[entry.path] for entry in entries], dtype=np.int64)


def load_dataset(context: Context, *, redraw: int | None = None) -> Dataset:
    """The task's dataset; ``redraw``: the seed whose training images are meant, where seeds draw their own."""
    artifact, params = context.input("dataset"), context.read_params(Divided)
    split = split_index(load_index(artifact), params.division, seed_redraw=redraw, pins=pins_of(context))
    return Dataset(artifact, split, list(params.classes))
