"""Arrays in files that several processes map, so that their memory holds them once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mapped:
    """An array [rows, …] of a file. It is pickled as the file's name, and mapped where it is used."""

    path: Path
    dtype: str
    shape: tuple[int, ...]

    @cached_property
    def array(self) -> NDArray[Any]:
        """To be read. What another process writes there is seen."""
        return np.asarray(np.memmap(self.path, self.dtype, "r", shape=self.shape))  # as an array of the plain, faster kind

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "dtype": self.dtype, "shape": self.shape}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def writable(self) -> NDArray[Any]:
        return np.asarray(np.memmap(self.path, self.dtype, "r+", shape=self.shape))


def save(path: Path, parts: Iterable[NDArray[Any]]) -> Mapped:
    """Arrays one after the other as one, which has a row at least. Only one of them is held at a time."""
    rows, like = 0, None
    with path.open("wb") as file:
        for part in parts:
            file.write(np.ascontiguousarray(part).data)
            rows, like = rows + len(part), part
    assert like is not None
    return Mapped(path, like.dtype.str, (rows, *like.shape[1:]))
