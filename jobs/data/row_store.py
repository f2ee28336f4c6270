"""Named rows of float32 in safetensors files, read and written a row at a time: no file need fit in memory.

A file holds one tensor, [n, d] or [n, k, d]; its metadata name the n ids as a JSON list, and maybe a note on each. The k rows
of an id in a tensor [n, k, d] are called ``<id>/0`` … ``<id>/<k - 1>``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BYTES = 4  # of a float32
READ_AT_ONCE = 2**20  # bytes
ALIGNMENT = 8  # of what follows the header


class Rows(Protocol):
    """Rows to be had by name."""

    @property
    def names(self) -> Sequence[str]:
        """In the order they lie in."""

    @property
    def width(self) -> int:
        """Values of each."""

    def read(self, place: int, count: int = 1) -> bytes:
        """The bytes of the rows from a place (from 0) on."""


@dataclass(frozen=True)
class RowFile:
    """A complete safetensors file of rows. ``start``: where its first row is, in bytes; ``notes``: one an id, or none."""

    path: Path
    tensor: str
    shape: tuple[int, ...]
    ids: tuple[str, ...]
    start: int
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return self.shape[-1]

    @property
    def names(self) -> Sequence[str]:
        """Of all rows: the ids, or where each has several, ``<id>/<number>``."""
        if len(self.shape) == 2:
            return self.ids
        return [row_name(name, number) for name in self.ids for number in range(self.shape[1])]

    def read(self, place: int, count: int = 1) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.start + place * self.width * BYTES)
            return file.read(count * self.width * BYTES)

    def array(self) -> NDArray[np.float32]:
        """The whole tensor, mapped: what is not looked at is not read."""
        if 0 in self.shape:
            return np.zeros(self.shape, np.float32)
        return np.memmap(self.path, dtype="<f4", mode="r", offset=self.start, shape=self.shape)


def row_name(image_id: str, view: int | None) -> str:
    """What the row of an image, or of a view of it, is called."""
    return image_id if view is None else f"{image_id}/{view}"


def image_of(name: str) -> str:
    """The id of the image that a row is of."""
    return name.partition("/")[0]


def open_rows(path: Path) -> RowFile:
    """Read a file's header. Raises ValueError where it holds no rows."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size:
            raise ValueError(f"{path}: no safetensors file")
        header = json.loads(file.read(size))
    metadata = header.pop("__metadata__", {})
    ids, notes = (tuple(json.loads(metadata.get(name, "[]"))) for name in ("ids", "notes"))
    if len(header) != 1:
        raise ValueError(f"{path}: holds {len(header)} tensors, not one")
    ((tensor, said),) = header.items()
    shape = tuple(said["shape"])
    if said["dtype"] != "F32" or len(shape) not in (2, 3) or shape[0] != len(ids):
        raise ValueError(f"{path}: {said['dtype']} of {list(shape)} for {len(ids)} ids")
    return RowFile(path, tensor, shape, ids, 8 + size, notes)


def read_rows(places: Iterable[tuple[Rows, int]]) -> Iterator[bytes]:
    """The bytes of rows in order; of such as lie side by side up to ``READ_AT_ONCE`` bytes at a time, or one row."""
    run: tuple[Rows, int, int] | None = None  # its first row's place, and how many there are
    for rows, place in places:
        if run is not None:
            before, start, count = run
            if rows is before and place == start + count and (count + 1) * rows.width * BYTES <= READ_AT_ONCE:
                run = before, start, count + 1
                continue
            yield before.read(start, count)
        run = rows, place, 1
    if run is not None:
        yield run[0].read(run[1], run[2])


def write_rows(
    path: Path, tensor: str, shape: Sequence[int], ids: Sequence[str], rows: Iterable[bytes], notes: Sequence[str] = ()
) -> None:
    """A safetensors file of ``rows``, in the order of ``ids``. Equal content gives equal bytes.

    Raises ValueError when there are more or fewer bytes than ``shape`` has room for.
    """
    size = BYTES
    for length in shape:
        size *= length
    said = {"dtype": "F32", "shape": list(shape), "data_offsets": [0, size]}
    metadata = {"ids": _compact(ids)} | ({"notes": _compact(notes)} if notes else {})
    document = {"__metadata__": metadata, tensor: said}
    header = json.dumps(document, separators=(",", ":")).encode()
    header += b" " * (-len(header) % ALIGNMENT)
    written = 0
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for row in rows:
            written += file.write(row)
    if written != size:
        raise ValueError(f"{path}: {written} bytes for {list(shape)} of float32")


def _compact(words: Sequence[str]) -> str:
    return json.dumps(list(words), separators=(",", ":"))


class Spool:
    """Rows of this process, on disk: appended in any order, read by place. ``width``: values of a row; None: of the first."""

    def __init__(self, path: Path, width: int | None = None) -> None:
        self.names: list[str] = []
        self._width, self._path = width, path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)

    def extend(self, names: Sequence[str], rows: NDArray[np.float32]) -> None:
        """``rows``: [len(names), width]. Raises ValueError for another shape."""
        self._width = rows.shape[-1] if self._width is None else self._width
        if rows.shape != (len(names), self.width):
            raise ValueError(f"{', '.join(names)}: rows of {rows.shape}, not {len(names)} of {self.width} values")
        left = memoryview(rows.astype("<f4").tobytes())
        while left:
            left = left[os.write(self._file, left) :]
        self.names += names

    @property
    def width(self) -> int:
        """Raises ValueError before the first row where it was not given."""
        if self._width is None:
            raise ValueError(f"{self._path.name} has no row yet")
        return self._width

    def read(self, place: int, count: int = 1) -> bytes:
        return os.pread(self._file, count * self.width * BYTES, place * self.width * BYTES)

    def close(self) -> None:
        os.close(self._file)
        self._path.unlink(missing_ok=True)
