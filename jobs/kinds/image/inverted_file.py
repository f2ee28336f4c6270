"""Which of very many pictures may look alike: those that share a list of an inverted file, then as ``candidates`` has it.

All pairs of a million pictures are 10^12. So some pictures, ``centres``, head a list each, every picture stands in the list
whose centre it looks most like, and each is compared with the pictures of the ``PROBED`` lists that it, or a view of it, looks
most like, by the views and symmetries of ``candidates``. Copies look like the same centres, as they look like each other. It is
an inverted file with a coarse quantiser (Jégou, Douze, Schmid 2011, Product quantization for nearest neighbor search, IEEE PAMI
33), without codes, and blind to the square's symmetries, as cosines are the best over all eight. Time grows with n^1.5. What is
found depends on the pictures and their order: nothing is drawn by chance, and products are computed by one thread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.kinds.image.candidates import (
    COLUMNS,
    ROWS,
    Block,
    Parts,
    Products,
    block_of,
    by_parity,
    coarse_wholes,
    turned,
    views_of,
)
from jobs.kinds.image.thumbnails import SYMMETRIES, Floats, Thumbnails

PROBED = 16  # lists that a picture is looked for in
ALIKE = 0.8
"""What ``fitting`` asks for of a view that fits (there at all of 256). Copies reach it with one of ``candidates.VIEWS``: the
least of 1,400 planted ones had 0.82, one of 200 that were cut by up to 12 % a side. Of other pairs one in 18 of those does that
reach ``candidates.COARSE``."""
TOGETHER = 32 * ROWS  # pictures that are looked up together, so that each list has several to be compared with
ROUNDS = 4  # in which centres become the mean of their lists
SAMPLED = 32  # pictures a centre, of which those means are taken
SOME = 4096  # of them turned at a time
Found = tuple[NDArray[Any], NDArray[Any]]


def list_count(pictures: int) -> int:
    """So many lists that it takes as long to find a picture's lists as to look through them."""
    return max(1, math.isqrt(PROBED * pictures))


def listed_candidates(thumbnails: Thumbnails) -> Iterator[Block]:
    """Pairs of different pictures of which a view of the first looks like the whole of the second, and that share a list."""
    if len(thumbnails) < 2:
        return
    wholes, tells = coarse_wholes(thumbnails)
    shown = np.flatnonzero(tells)
    if len(shown) < 2:
        return
    file = InvertedFile(wholes, shown)
    for start in range(0, len(thumbnails), TOGETHER):
        rows, columns = file.look_up(thumbnails, start, tells)
        for first in range(start, min(start + TOGETHER, len(thumbnails)), ROWS):
            some = slice(*np.searchsorted(rows, [first, first + ROWS]))
            pictures = thumbnails.load(first, ROWS).astype(np.float32)
            yield block_of(first, pictures, wholes, [(rows[some] - first, columns[some])])


class InvertedFile:
    """Lists of pictures by the centre that they look most like. ``wholes`` [n, d]; ``shown``: the numbers of those in it."""

    def __init__(self, wholes: Floats, shown: NDArray[Any]) -> None:
        self.wholes = wholes
        count = min(list_count(len(shown)), len(shown))
        self._centres = by_parity(_centres(wholes, shown, count))
        nearest = _nearest(wholes[shown], self._centres)
        order = np.argsort(nearest, kind="stable")
        ends = np.searchsorted(nearest[order], np.arange(1, count))
        self.lists: list[NDArray[Any]] = np.split(shown[order], ends)

    def look_up(self, thumbnails: Thumbnails, start: int, tells: NDArray[np.bool_]) -> Found:
        """(rows, columns), sorted: of ``TOGETHER`` pictures from number ``start`` on, those they look like."""
        blocks = (thumbnails.load(at, ROWS) for at in range(start, min(start + TOGETHER, len(thumbnails)), ROWS))
        views = [views_of(block.astype(np.float32)) for block in blocks]
        probes = np.concatenate([self._probed(each) for each in views])
        together = [[np.concatenate(same) for same in zip(*parts, strict=True)] for parts in zip(*views, strict=True)]
        probes[~tells[start : start + len(probes)]] = -1
        asked, place = np.divmod(np.argsort(probes, axis=None, kind="stable"), probes.shape[1])
        sought = probes[asked, place]
        found: list[Found] = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
        for number in np.unique(sought[sought >= 0]).tolist():
            rows = asked[slice(*np.searchsorted(sought, [number, number + 1]))]
            found += self._alike(together, rows, self.lists[number], start)
        rows, columns = (np.concatenate(each) for each in zip(*found, strict=True))
        order = np.lexsort((columns, rows))
        return rows[order], columns[order]

    def _probed(self, views: list[Parts]) -> NDArray[Any]:
        """[n, PROBED]: the lists whose centres a view of each picture looks most like."""
        count = len(self.lists)
        if count <= PROBED:
            return np.tile(np.arange(count), (len(views[0][0]), 1))
        likeness = _products(views, self._centres)
        return np.argpartition(-likeness, PROBED - 1, axis=1)[:, :PROBED]

    def _alike(self, views: list[Parts], rows: NDArray[Any], members: NDArray[Any], start: int) -> Iterator[Found]:
        """Pairs of pictures ``rows`` (counted from ``start``) and of one list that look alike."""
        for first in range(0, len(rows), ROWS):
            some = rows[first : first + ROWS]
            products = Products([[part[some] for part in parts] for parts in views])
            for left in range(0, len(members), COLUMNS):
                others = members[left : left + COLUMNS]
                at, to = np.nonzero(products.best(by_parity(self.wholes[others])) > ALIKE)
                one, other = some[at] + start, others[to]
                yield one[one != other], other[one != other]


def _products(views: list[Parts], wholes: Parts) -> Floats:
    """[n, m]: the greatest cosine of each of the pictures' views with each of ``wholes``, in any symmetry."""
    products = Products(views)
    lefts = range(0, len(wholes[0]), COLUMNS)
    return np.concatenate([products.best([part[left : left + COLUMNS] for part in wholes]).copy() for left in lefts], axis=1)


def _centres(wholes: Floats, shown: NDArray[Any], count: int) -> Floats:
    """[count, d]: the means of lists, from pictures evenly through the data on."""
    sample = wholes[_evenly(shown, count * SAMPLED)]
    centres = sample[_evenly(np.arange(len(sample)), count)]
    for _ in range(ROUNDS):
        nearest = _nearest(sample, by_parity(centres))
        sums = np.zeros_like(centres)
        for start in range(0, len(sample), SOME):
            some = slice(start, start + SOME)
            np.add.at(sums, nearest[some], _towards(sample[some], centres[nearest[some]]))
        empty = np.bincount(nearest, minlength=count) == 0
        sums[empty] = centres[empty]
        centres = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(centres)


def _towards(wholes: Floats, centres: Floats) -> Floats:
    """[n, d]: each turned to where it looks most like its centre."""
    all_turned = np.stack([turned(wholes, turn) for turn in range(len(SYMMETRIES))])
    best = np.einsum("snd,nd->sn", all_turned, centres).argmax(axis=0)
    return np.asarray(all_turned[best, np.arange(len(wholes))])


def _nearest(wholes: Floats, centres: Parts) -> NDArray[Any]:
    """[n]: the centre that each looks most like."""
    found = [np.zeros(0, np.int64)]
    for start in range(0, len(wholes), ROWS):
        found.append(_products(_whole_views(wholes[start : start + ROWS]), centres).argmax(axis=1))
    return np.concatenate(found)


def _whole_views(wholes: Floats) -> list[Parts]:
    """Whole pictures as they are and transposed, of their coarse spectra [n, d]."""
    return [by_parity(wholes), by_parity(turned(wholes, TRANSPOSED))]


TRANSPOSED = next(number for number, turn in enumerate(SYMMETRIES) if turn.transposed and not (turn.mirrored or turn.flipped))


def _evenly(numbers: NDArray[Any], count: int) -> NDArray[Any]:
    """At most ``count`` of them, evenly spaced."""
    return numbers[np.linspace(0, len(numbers), min(count, len(numbers)), endpoint=False).astype(np.int64)]
