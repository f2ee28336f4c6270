"""Which training images are labelled in a draw: so many of each class, the fewer among the more. Pure.

An image's place is that of its unit, by sha256 of the split's seed, the draw and the unit's content; so a draw depends neither
on the order of the images nor on which numbers of labels are asked for. Copies of a picture and images of a group come one
after the other, so that they are labelled together; the number of labels is met exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.data.index import IndexEntry, by_content
from jobs.data.split_groups import units_of

Ints = NDArray[np.int64]
STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Draw:
    """``order``: of each class the places of its training images, the first labelled first."""

    order: Mapping[str, Sequence[int]]

    def labelled(self, labels: int) -> Ints:
        """Places of ``labels`` training images of each class, sorted."""
        return np.array(sorted(place for places in self.order.values() for place in places[:labels]), dtype=np.int64)


def draws_of(train: Sequence[IndexEntry], classes: Sequence[str], count: int, seed: int) -> list[Draw]:
    """``count`` draws from the training images."""
    return [draw_of(train, classes, number, seed) for number in range(count)]


def draw_of(train: Sequence[IndexEntry], classes: Sequence[str], number: int, seed: int) -> Draw:
    """One draw (from 0); it is the same however many there are."""
    place = {id(entry): at for at, entry in enumerate(train)}
    ranked = sorted(units_of(train), key=lambda unit: (unit.rank(f"{seed}:labels:{number}"), by_content(unit.entries[0])))
    order: dict[str, list[int]] = {name: [] for name in classes}
    for unit in ranked:
        for entry in unit.entries:
            order[entry.label].append(place[id(entry)])
    return Draw(order)


def usual_labels(most: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, … up to ``most``."""
    found, power = [], 1
    while power <= most:
        found += [power * step for step in STEPS if power * step <= most]
        power *= 10
    return found
