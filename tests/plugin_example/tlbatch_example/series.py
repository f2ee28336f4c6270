"""Series of numbers in .npy files, as items of a dataset: read, identified, measured and drawn, without torch."""

from __future__ import annotations

import base64
import hashlib
import io
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.data.index import IndexEntry
from jobs.data.items import BadItemError, CopyFinder, Facts, ItemView, ReadItem
from tlbatch.datasets.listing import ListedFile

Values = NDArray[np.float32]


class SeriesItems:
    """Stored as float32; what is longer than ``longest`` is cut."""

    equal = "Equal values by hash"
    changes: Sequence[str] = ()

    def begin(self) -> None:
        pass

    def read(self, file: ListedFile, data: bytes, settings: Mapping[str, Any], *, compare: bool) -> ReadItem:
        values = read_values(data)[: settings["longest"]]
        buffer = io.BytesIO()
        np.save(buffer, values)
        name = hashlib.sha256(values.tobytes()).hexdigest()[:40]
        return ReadItem(file, name, buffer.getvalue(), "npy", {"length": len(values)}, original=False)

    def finder(self, path: Path) -> CopyFinder | None:
        return None

    def overview(
        self,
        classes: Sequence[str],
        counts: Mapping[str, int],
        names: Mapping[str, Sequence[str]],
        read: Callable[[str], bytes],
    ) -> tuple[str, bytes] | None:
        return None

    def sizes(self, entries: Sequence[IndexEntry]) -> Mapping[str, Any]:
        lengths = sorted(entry.facts["length"] for entry in entries)
        return {"length": {"min": lengths[0], "median": round(statistics.median(lengths)), "max": lengths[-1]}}

    def note(self, facts: Facts) -> str:
        return str(facts["length"])

    def show(self, stored: bytes, side: int) -> ItemView:
        drawn = base64.b64encode(draw(read_values(stored), side)).decode()
        return ItemView(url=f"data:image/svg+xml;base64,{drawn}")


def read_values(data: bytes) -> Values:
    """float32 [n]. Raises BadItemError."""
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:
        raise BadItemError(f"no .npy file ({error})") from error
    if values.ndim != 1 or values.dtype.kind not in "fiu" or not len(values):
        raise BadItemError(f"is {values.dtype} of shape {values.shape}, and a series has one axis of numbers")
    found = values.astype(np.float32)
    if not np.isfinite(found).all():
        raise BadItemError("has values that are not finite")
    return found


def draw(values: NDArray[Any], side: int) -> bytes:
    """An SVG file: a line, ``side`` pixels wide."""
    low, high = float(values.min()), float(values.max())
    across = np.linspace(2, side - 2, len(values))
    down = side - 2 - (values - low) / (high - low or 1.0) * (side - 4)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" viewBox="0 0 {side} {side}">'
        f'<polyline points="{points}" fill="none" stroke="#246" stroke-width="1.5"/></svg>'
    ).encode()


ITEMS = SeriesItems()
