"""Small grey pictures of all images in one scratch file, and what is computed from them: weighted cosine spectra of views.

A *box* is a view of a picture: (left, top, right, bottom) in 1/200 of its sides. Spectra are those of the discrete cosine
transform (type II, orthonormal), each coefficient weighted with its distance from the origin. That flattens the spectrum of
natural images (whose amplitudes fall with frequency), so that spectra of different photographs are nearly orthogonal. Mirroring
a picture changes the sign of its odd columns only, turning it upside down that of its odd rows, and transposing it (a quarter
turn and a mirroring) transposes its spectrum: the eight symmetries of the square cost no transform.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

SIDE = 96  # pixels of a thumbnail
UNITS = 200  # of a box, to a side
WHOLE = (0, 0, UNITS, UNITS)
Box = tuple[int, int, int, int]
Floats = NDArray[Any]


@dataclass(frozen=True)
class Symmetry:
    """One of the square's eight: transposed first, then mirrored left to right, then put upside down."""

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    def __call__(self, spectra: Floats) -> Floats:
        """The spectra […, k, k] of pictures so turned."""
        signs = np.array([1, -1], spectra.dtype)
        odd = np.arange(spectra.shape[-1]) % 2
        turned = spectra.swapaxes(-1, -2) if self.transposed else spectra
        turned = turned * signs[odd] if self.mirrored else turned
        return np.asarray(turned * signs[odd][:, None] if self.flipped else turned)

    @property
    def name(self) -> str:
        """``rotated`` by 90, 180 or 270 degrees, ``mirrored`` (rotated besides or not), or "" for a picture as it is."""
        if self.transposed ^ self.mirrored ^ self.flipped:
            return "mirrored"
        return "rotated" if self != Symmetry() else ""


SYMMETRIES = tuple(Symmetry(*turns) for turns in itertools.product((False, True), repeat=3))


def thumbnail(image: Image.Image) -> bytes:
    """96 x 96 grey levels of an RGB picture, each the mean of its area; the aspect ratio is not kept."""
    from PIL import Image  # what searches needs none

    return image.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0).convert("L").tobytes()


class Thumbnails:
    """A scratch file of thumbnails by number: memory holds none. ``there``: it has so many already, and is only read."""

    def __init__(self, path: Path, there: int | None = None) -> None:
        self.path = path
        self._file: BinaryIO = path.open("w+b" if there is None else "rb")
        self._count = there or 0

    def __len__(self) -> int:
        return self._count

    def add(self, levels: bytes) -> int:
        """Append one and return its number."""
        self._file.write(levels)
        self._count += 1
        return self._count - 1

    def load(self, start: int, count: int = 1) -> NDArray[np.uint8]:
        """uint8 [n, 96, 96]."""
        data = os.pread(self._file.fileno(), min(count, self._count - start) * SIDE * SIDE, start * SIDE * SIDE)
        return np.frombuffer(data, np.uint8).reshape(-1, SIDE, SIDE)

    def complete(self) -> None:
        """Nothing more is added: all of it can be read from the file, by other processes, too."""
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Spectrum:
    """Spectra of ``frequencies`` x ``frequencies`` coefficients, of views resampled to ``side`` x ``side`` pixels."""

    def __init__(self, side: int, frequencies: int, dtype: type = np.float64) -> None:
        self.side, self.frequencies, self.dtype = side, frequencies, dtype
        rows = np.arange(frequencies)
        distance = np.hypot(rows[:, None], rows[None, :])
        self.weights: Floats = np.where(distance <= frequencies, distance, 0.0).astype(dtype)

    def __call__(self, pictures: Floats, box: Box = WHOLE) -> Floats:
        """[…, k, k] of pictures […, 96, 96], of unit norm (or zero where there is nothing to see)."""
        raw: Floats = self.axis(box[1], box[3]) @ pictures @ self.axis(box[0], box[2]).T * self.weights
        return np.asarray(raw / (np.linalg.norm(raw, axis=(-2, -1), keepdims=True) + 1e-6))

    def grid(self, pictures: Floats, boxes: tuple[tuple[int, int], ...]) -> Floats:
        """[…, rows, columns, k, k]: the views of every pair of ``boxes`` (low, high), one for the rows, one for the columns."""
        axes = np.concatenate([self.axis(low, high) for low, high in boxes])
        raw = (axes @ pictures @ axes.T).reshape(
            *pictures.shape[:-2], len(boxes), self.frequencies, len(boxes), self.frequencies
        )
        raw = raw.swapaxes(-2, -3) * self.weights
        return np.asarray(raw / (np.linalg.norm(raw, axis=(-2, -1), keepdims=True) + 1e-6))

    def spatial(self, spectra: Floats) -> Floats:
        """The weighted spectra as pictures […, side, side]: what of the picture was compared."""
        basis = _cosines(self.side, self.frequencies)
        return np.asarray(basis.T @ spectra @ basis)

    def axis(self, low: int, high: int) -> Floats:
        """[k, 96]: what takes one axis of a picture, from ``low`` to ``high``, to its coefficients."""
        return _transform(self.side, self.frequencies, low, high, np.dtype(self.dtype).char)


@lru_cache(maxsize=4096)
def _transform(side: int, frequencies: int, low: int, high: int, dtype: str) -> Floats:
    """[k, 96]: cut out, resample by area to ``side`` and transform, along one axis."""
    areas = _areas(side, low / UNITS * SIDE, high / UNITS * SIDE)
    return np.asarray(_cosines(side, frequencies) @ areas, dtype=dtype)


@lru_cache(maxsize=8)
def _cosines(side: int, frequencies: int) -> Floats:
    """[k, side], the orthonormal DCT-II."""
    angle = np.pi * np.outer(np.arange(frequencies), np.arange(side) + 0.5) / side
    scale = np.full((frequencies, 1), np.sqrt(2 / side))
    scale[0] = np.sqrt(1 / side)
    return np.asarray(scale * np.cos(angle))


def _areas(side: int, low: float, high: float) -> Floats:
    """[side, 96]: the mean over each of ``side`` equal pieces of [low, high)."""
    edges = np.linspace(low, high, side + 1)
    pixels = np.arange(SIDE)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.clip(overlap, 0, None) / (edges[1] - edges[0]))
