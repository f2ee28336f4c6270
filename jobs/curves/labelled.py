"""What curves are made of: training and test images, and the numbers of labels that there are images for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.context import Context
from jobs.curves.draws import Draw, draws_of, usual_labels
from jobs.data.index import IndexEntry, load_index
from jobs.data.pins import pins_of
from jobs.data.split import split_index
from jobs.data.split_groups import unit_names
from tlbatch import nouns
from tlbatch.contracts.curve import CurveParams
from tlbatch.errors import DataError
from tlbatch.roles import DATASET

Entries = tuple[IndexEntry, ...]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """``labels``: numbers a class that are fitted; ``left_out``: those that a class has too few training images for."""

    train: Entries
    test: Entries
    classes: tuple[str, ...]
    draws: tuple[Draw, ...]
    labels: tuple[int, ...]
    left_out: tuple[dict[str, Any], ...]

    def numbers(self, entries: Entries) -> Ints:
        """[n] classes by their place."""
        place = {name: number for number, name in enumerate(self.classes)}
        return np.array([place[entry.label] for entry in entries], dtype=np.int64)

    @cached_property
    def truth(self) -> Ints:
        """[n] of the test images."""
        return self.numbers(self.test)

    @cached_property
    def train_units(self) -> list[str]:
        """For each training image a name that its copies, and the images of its group, share."""
        return unit_names(self.train)

    @cached_property
    def test_units(self) -> list[str]:
        return unit_names(self.test)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Training images of each class."""
        found = Counter(entry.label for entry in self.train)
        return {name: found[name] for name in self.classes}

    def overlap(self, labels: int) -> float:
        """The share of the training images of a class that a draw takes, the mean over classes."""
        return float(np.mean([min(1.0, labels / count) for count in self.counts.values()]))


def load_labelled(context: Context, params: CurveParams) -> Labelled:
    """Raises DataError where there is no number of labels that every class has training images for."""
    split = split_index(load_index(context.input(DATASET)), params.division, seed_redraw=params.redraw, pins=pins_of(context))
    counts = Counter(entry.label for entry in split.train)
    smallest = min(params.classes, key=lambda name: (counts[name], name))
    asked = usual_labels(counts[smallest]) if params.labels is None else list(params.labels)
    labels = [each for each in asked if each <= counts[smallest]]
    if not labels:
        raise DataError(
            f"curve.labels: {smallest} trains with {nouns.count(counts[smallest])}, and {min(asked)} labels a class or more "
            "are asked for: ask for fewer, or give dataset.split.train more"
        )
    left_out = [{"labels": each, "class": smallest, "images": counts[smallest]} for each in asked if each not in labels]
    draws = draws_of(split.train, params.classes, params.draws, params.split.seed)
    return Labelled(split.train, split.test, tuple(params.classes), tuple(draws), tuple(labels), tuple(left_out))
