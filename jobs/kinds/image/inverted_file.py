"""Which of very many pictures may look alike: those that share a list of an inverted file, then as ``candidates`` has it.

All pairs of a million pictures are 10^12. So some pictures, ``centres``, head a list each, every picture stands in the list
whose centre it looks most like, and each is compared with the pictures of the ``PROBED`` lists that it, or a view of it, looks
most like, by the views and symmetries of ``candidates``. Copies look like the same centres, as they look like each other. It is
an inverted file with a coarse quantiser (Jégou, Douze, Schmid 2011, Product quantization for nearest neighbor search, IEEE PAMI
33), without codes, and blind to the square's symmetries, as cosines are the best over all eight. Time grows with n^1.5. What is
found depends on the pictures and their order: nothing is drawn by chance, and each product is computed by one thread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.kinds.image.candidates import (
    COLUMNS,
    PARITY,
    ROWS,
    VIEWS,
    Block,
    Parts,
    Pictures,
    Products,
    block_of,
    blocks_of,
    by_parity,
    turned,
    views_of,
)
from jobs.kinds.image.thumbnails import SYMMETRIES, Floats
from jobs.mapped import Mapped, save
from jobs.workers import Workers

PROBED = 16  # lists that a picture is looked for in
ALIKE = 0.8
"""What ``fitting`` asks for of a view that fits (there at all of 256). Copies reach it with one of ``candidates.VIEWS``: the
least of 1,400 planted ones had 0.82, one of 200 that were cut by up to 12 % a side. Of other pairs one in 18 of those does that
reach ``candidates.COARSE``."""
TOGETHER = 32 * ROWS  # pictures that are looked up together at most, so that each list has several to be compared with
ROUNDS = 4  # in which centres become the mean of their lists
SAMPLED = 32  # pictures a centre, of which those means are taken
SOME = 4096  # of them turned at a time, or given to a process
Found = tuple[NDArray[Any], NDArray[Any]]


def list_count(pictures: int) -> int:
    """So many lists that it takes as long to find a picture's lists as to look through them."""
    return max(1, math.isqrt(PROBED * pictures))


def together(pictures: int) -> int:
    """How many of so many pictures are looked up together: 32 for each list, so that there is work for many cores, too."""
    return min(TOGETHER, -(-2 * list_count(pictures) // ROWS) * ROWS)


def listed_candidates(pictures: Pictures, file: InvertedFile, start: int) -> Iterator[Block]:
    """Pairs of different pictures of which a view of the first, one of ``together`` from ``start`` on, looks like the whole of
    the second, and that share a list."""
    wholes, end = pictures.wholes.array, min(start + together(len(pictures)), len(pictures))
    rows, columns = file.look_up(pictures, start, end)
    for first, block in blocks_of(pictures.thumbnails, start, end):
        some = slice(*np.searchsorted(rows, [first, first + ROWS]))
        yield block_of(first, block, wholes, [(rows[some] - first, columns[some])])


@dataclass(frozen=True)
class InvertedFile:
    """Lists of pictures by the centre [d] of ``centres`` that they look most like: ``members`` one list after the other, of
    which all but the last end at ``ends``."""

    centres: Floats
    members: Mapped
    ends: NDArray[Any]

    @property
    def lists(self) -> list[NDArray[Any]]:
        return np.split(self.members.array, self.ends)

    def look_up(self, pictures: Pictures, start: int, end: int) -> Found:
        """(rows, columns), sorted: of the pictures from number ``start`` up to ``end``, those they look like."""
        centres, lists = by_parity(self.centres), self.lists
        views = [np.empty((2 * len(VIEWS), end - start, len(part)), np.float32) for part in PARITY]
        found_lists = []
        for first, block in blocks_of(pictures.thumbnails, start, end):
            some = views_of(block)
            found_lists.append(_probed(some, centres))
            for all_of, *of_view in zip(views, *some, strict=True):
                all_of[:, first - start : first - start + len(block)] = of_view
        probes = np.concatenate(found_lists)
        probes[~pictures.tells.array[start:end]] = -1
        asked, place = np.divmod(np.argsort(probes, axis=None, kind="stable"), probes.shape[1])
        sought = probes[asked, place]
        found: list[Found] = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
        for number in np.unique(sought[sought >= 0]).tolist():
            rows = asked[slice(*np.searchsorted(sought, [number, number + 1]))]
            found += _alike(views, rows, pictures.wholes.array, lists[number], start)
        rows, columns = (np.concatenate(each) for each in zip(*found, strict=True))
        order = np.lexsort((columns, rows))
        return rows[order], columns[order]


def inverted_file(pictures: Pictures, folder: Path, workers: Workers) -> InvertedFile | None:
    """Of the pictures that show something; None where fewer than two do."""
    shown = np.flatnonzero(pictures.tells.array)
    if len(shown) < 2:
        return None
    count = min(list_count(len(shown)), len(shown))
    centres = _centres(pictures.wholes, shown, count, workers)
    nearest = _nearest(pictures.wholes, shown, centres, workers)
    order = np.argsort(nearest, kind="stable")
    ends = np.searchsorted(nearest[order], np.arange(1, count))
    return InvertedFile(centres, save(folder / "members", [shown[order]]), ends)


def _probed(views: list[Parts], centres: Parts) -> NDArray[Any]:
    """[n, PROBED]: the lists whose centres a view of each picture looks most like."""
    count = len(centres[0])
    if count <= PROBED:
        return np.tile(np.arange(count), (len(views[0][0]), 1))
    likeness = _products(views, centres)
    return np.argpartition(-likeness, PROBED - 1, axis=1)[:, :PROBED]


def _alike(views: Parts, rows: NDArray[Any], wholes: Floats, members: NDArray[Any], start: int) -> Iterator[Found]:
    """Pairs of pictures ``rows`` (counted from ``start``) and of one list that look alike. ``views``: [views, n, d]."""
    for first in range(0, len(rows), ROWS):
        some = rows[first : first + ROWS]
        products = Products(list(zip(*(part.take(some, axis=1) for part in views), strict=True)))
        for left in range(0, len(members), COLUMNS):
            others = members[left : left + COLUMNS]
            at, to = np.nonzero(products.best(by_parity(wholes[others])) > ALIKE)
            one, other = some[at] + start, others[to]
            yield one[one != other], other[one != other]


def _products(views: list[Parts], wholes: Parts) -> Floats:
    """[n, m]: the greatest cosine of each of the pictures' views with each of ``wholes``, in any symmetry."""
    products = Products(views)
    lefts = range(0, len(wholes[0]), COLUMNS)
    return np.concatenate([products.best([part[left : left + COLUMNS] for part in wholes]).copy() for left in lefts], axis=1)


def _centres(wholes: Mapped, shown: NDArray[Any], count: int, workers: Workers) -> Floats:
    """[count, d]: the means of lists, from pictures evenly through the data on."""
    numbers = _evenly(shown, count * SAMPLED)
    sample = wholes.array[numbers]
    centres = sample[_evenly(np.arange(len(sample)), count)]
    for _ in range(ROUNDS):
        nearest = _nearest(wholes, numbers, centres, workers)
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


def _nearest(wholes: Mapped, numbers: NDArray[Any], centres: Floats, workers: Workers) -> NDArray[Any]:
    """[n]: the centre that each of the pictures ``numbers`` looks most like."""
    pieces = [numbers[start : start + SOME] for start in range(0, len(numbers), SOME)]
    return np.concatenate([*workers.in_order(Nearest(wholes, centres), pieces)])


@dataclass(frozen=True)
class Nearest:
    """Of pictures by number: the centre that each looks most like."""

    wholes: Mapped
    centres: Floats

    def __call__(self, numbers: NDArray[Any]) -> NDArray[Any]:
        centres = by_parity(self.centres)
        blocks = (self.wholes.array[numbers[start : start + ROWS]] for start in range(0, len(numbers), ROWS))
        return np.concatenate([_products(_whole_views(block), centres).argmax(axis=1) for block in blocks])


def _whole_views(wholes: Floats) -> list[Parts]:
    """Whole pictures as they are and transposed, of their coarse spectra [n, d]."""
    return [by_parity(wholes), by_parity(turned(wholes, TRANSPOSED))]


TRANSPOSED = next(number for number, turn in enumerate(SYMMETRIES) if turn.transposed and not (turn.mirrored or turn.flipped))


def _evenly(numbers: NDArray[Any], count: int) -> NDArray[Any]:
    """At most ``count`` of them, evenly spaced."""
    return numbers[np.linspace(0, len(numbers), min(count, len(numbers)), endpoint=False).astype(np.int64)]
