"""Which pictures look alike, seen coarsely: all pairs, a view of one against the whole of the other, in all eight symmetries.

Cosines of coarse spectra (16 x 16 pixels, frequencies up to 8), in blocks of matrix products, so that memory is bounded and
time grows with the square: 25,000 pictures are 4.4 billion pairs of views and wholes, in eight symmetries. With the
coefficients multiplied apart by the parity of their row and column, the best of a picture as it is, mirrored, upside down
and both is a few sums of four products. Every pair above ``COARSE`` goes on: there is no cut-off by number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.kinds.image.thumbnails import SYMMETRIES, UNITS, WHOLE, Box, Floats, Spectrum, Thumbnails
from jobs.mapped import Mapped, save
from jobs.workers import Workers

COARSE = 0.6
"""A copy that is cut by up to 13 % reaches it with one of ``VIEWS``; of pairs of different photographs 0.2 % do."""
VIEWS: tuple[Box, ...] = (
    WHOLE,
    (8, 8, UNITS - 8, UNITS - 8),
    (18, 18, UNITS - 18, UNITS - 18),
    (14, 14, UNITS, UNITS),
    (14, 0, UNITS, UNITS - 14),
    (0, 14, UNITS - 14, UNITS),
    (0, 0, UNITS - 14, UNITS - 14),
)
ROWS, COLUMNS = 256, 512  # of a block: small, so that it stays in the cache
BLOCKS = 16  # of pictures that are made coarse by one process at a time
MOST_PAIRS = 2**18  # held at a time, or those of one block
PLAIN = 3.0  # standard deviation in grey levels below which a picture shows too little to be told from another
SIMPLE = 25.0  # frequencies a picture's energy is spread over, effectively; photographs have 40 and more, a blown-up digit 13

coarse = Spectrum(16, 8, np.float32)
_kept = np.flatnonzero(coarse.weights.ravel() > 0)
PARITY = [np.flatnonzero(((_kept // 8) % 2 == row) & ((_kept % 8) % 2 == column)) for row in (0, 1) for column in (0, 1)]


def flat(spectra: Floats) -> Floats:
    """[…, d]: the coefficients that count of coarse spectra […, k, k]."""
    return np.ascontiguousarray(spectra.reshape(*spectra.shape[:-2], -1)[..., _kept])


def _turns() -> tuple[NDArray[Any], Floats]:
    """For each of SYMMETRIES where its coefficients come from, and their signs: [8, d] both."""
    places = np.zeros(64)
    places[_kept] = np.arange(1, len(_kept) + 1)
    turned = np.stack([flat(symmetry(places.reshape(8, 8))) for symmetry in SYMMETRIES])
    return np.abs(turned).astype(np.int64) - 1, np.sign(turned).astype(np.float32)


_FROM, _SIGN = _turns()


def turned(spectra: Floats, symmetry: int) -> Floats:
    """Coarse spectra [n, d] of pictures turned by the symmetry of this number."""
    return np.asarray(spectra[:, _FROM[symmetry]] * _SIGN[symmetry])


@dataclass(frozen=True)
class Block:
    """Pictures from number ``start`` on, and which of them look like which others.

    ``rows`` count from ``start``, ``columns`` from 0; sorted by row. ``wholes`` are the coarse spectra of all pictures [n, d].
    """

    start: int
    pictures: Floats
    wholes: Floats
    rows: NDArray[Any]
    columns: NDArray[Any]

    def alike(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Pictures by number, in order, each with the numbers of those that it looks like."""
        for row in np.unique(self.rows).tolist():
            yield self.start + row, self.columns[slice(*np.searchsorted(self.rows, [row, row + 1]))]


@dataclass(frozen=True)
class Pictures:
    """All pictures of a search, on disk: thumbnails, and their coarse spectra ``wholes`` [n, d] (zero where a picture shows too
    little) and ``tells`` [n], which show enough. To be sent to another process, which opens them anew."""

    path: Path
    wholes: Mapped
    tells: Mapped

    def __len__(self) -> int:
        return int(self.tells.shape[0])

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "wholes": self.wholes, "tells": self.tells}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @cached_property
    def thumbnails(self) -> Thumbnails:
        return Thumbnails(self.path, len(self))

    @cached_property
    def parts(self) -> Parts:
        """``wholes`` by parity."""
        return by_parity(self.wholes.array)


def pictures_of(thumbnails: Thumbnails, folder: Path, workers: Workers) -> Pictures:
    """What is computed of every picture, in files of ``folder``."""
    pieces = range(0, len(thumbnails), ROWS * BLOCKS)
    told: list[NDArray[np.bool_]] = []

    def wholes() -> Iterator[Floats]:
        for spectra, tells in workers.in_order(Coarse(thumbnails.path, len(thumbnails)), pieces):
            told.append(tells)
            yield spectra

    thumbnails.complete()
    return Pictures(thumbnails.path, save(folder / "wholes", wholes()), save(folder / "tells", told))


@dataclass(frozen=True)
class Coarse:
    """Of ``BLOCKS`` blocks of pictures from a number on: their coarse spectra, and which show enough."""

    path: Path
    count: int

    def __call__(self, start: int) -> tuple[Floats, NDArray[np.bool_]]:
        with closing(Thumbnails(self.path, self.count)) as thumbnails:
            found = [_coarse(block) for _, block in blocks_of(thumbnails, start, start + ROWS * BLOCKS)]
        wholes, tells = (np.concatenate(each) for each in zip(*found, strict=True))
        return wholes, tells


def _coarse(block: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    wholes, tells = flat(coarse(block)), _tells(block)
    wholes[~tells] = 0
    return wholes, tells


def candidates(pictures: Pictures, start: int) -> Iterator[Block]:
    """Every pair of different pictures of which a view of the first, one of ``ROWS`` from ``start`` on, looks like the whole of
    the second."""
    wholes, tells = pictures.wholes.array, pictures.tells.array
    block = pictures.thumbnails.load(start, ROWS).astype(np.float32)
    products = Products(views_of(block))
    found: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for left in range(0, len(wholes), COLUMNS):
        rows, columns = np.nonzero(products.best([part[left : left + COLUMNS] for part in pictures.parts]) > COARSE)
        other = (rows + start != columns + left) & tells[rows + start]
        found.append((rows[other], columns[other] + left))
        if sum(len(rows) for rows, _ in found) > MOST_PAIRS:
            yield block_of(start, block, wholes, found)
            found = []
    yield block_of(start, block, wholes, found)


def block_of(start: int, pictures: Floats, wholes: Floats, found: list[tuple[NDArray[Any], NDArray[Any]]]) -> Block:
    rows, columns = (np.concatenate([np.zeros(0, np.int64), *each]) for each in zip(*found, strict=True)) if found else _NONE
    order = np.argsort(rows, kind="stable")
    return Block(start, pictures, wholes, rows[order], columns[order])


_NONE = (np.zeros(0, np.int64), np.zeros(0, np.int64))


Parts = list[Floats]
"""Coarse spectra [n, d], their coefficients apart by the parity of row and column: four arrays."""


def by_parity(spectra: Floats) -> Parts:
    return [np.ascontiguousarray(spectra[:, part]) for part in PARITY]


def views_of(pictures: Floats, boxes: Sequence[Box] = VIEWS) -> list[Parts]:
    """Views of pictures [n, 96, 96], as they are and transposed."""
    views = [coarse(pictures, box) for box in boxes]
    return [by_parity(flat(view)) for each in views for view in (each, each.swapaxes(-1, -2))]


class Products:
    """Views of some pictures, and room for their products with at most ``columns`` others."""

    def __init__(self, views: Sequence[Sequence[Floats]], columns: int = COLUMNS) -> None:
        self._views = views
        self._room = np.empty((6, len(views[0][0]) * columns), np.float32)

    def best(self, wholes: Parts) -> Floats:
        """[rows, columns]: the greatest cosine over all views and symmetries. Holds until the next call."""
        shape = (len(self._views[0][0]), len(wholes[0]))
        *products, alike, best = (room[: shape[0] * shape[1]].reshape(shape) for room in self._room)
        best.fill(-1)
        for view in self._views:
            even, odd_columns, odd_rows, odd = (
                np.matmul(one, other.T, out=room) for one, other, room in zip(view, wholes, products, strict=True)
            )
            np.add(even, odd, out=alike)  # with both the odd rows' and the odd columns' signs kept or changed
            even -= odd  # with one of them changed
            np.add(odd_columns, odd_rows, out=odd)
            odd_columns -= odd_rows
            alike += np.abs(odd, out=odd)
            even += np.abs(odd_columns, out=odd_columns)
            np.maximum(best, alike, out=best)
            np.maximum(best, even, out=best)
        return best


def blocks_of(thumbnails: Thumbnails, first: int, end: int) -> Iterator[tuple[int, Floats]]:
    """``ROWS`` pictures [n, 96, 96] at a time, with the first one's number: of those from ``first`` up to ``end``."""
    for start in range(first, min(end, len(thumbnails)), ROWS):
        yield start, thumbnails.load(start, ROWS).astype(np.float32)


def _tells(pictures: Floats) -> NDArray[np.bool_]:
    """[n]: whether a picture shows enough to be told from others: neither nearly uniform nor a simple shape."""
    energy = Spectrum(48, 24, np.float32)(pictures).reshape(len(pictures), -1) ** 2
    spread = 1 / ((energy**2).sum(axis=1) + 1e-12)  # the energies add up to 1
    return np.asarray((spread >= SIMPLE) & (pictures.reshape(len(pictures), -1).std(axis=1) >= PLAIN))
