"""WebDataset shards: tar files of ``<id>.<format>`` and ``<id>.json``, an item's shard decided by its own content hash."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from jobs.data.items import SpooledItem

Beside = TypeVar("Beside")
MANY_ITEMS = 2_000
"""Beyond it two hex digits of the content hash name the shard instead of one: 256 shards instead of 16."""


class Spool:
    """Stored items on their way into shards: scratch files by the first digit of the content hash, appended to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = {digit: folder / f"{digit}.bin" for digit in "0123456789abcdef"}
        self._files: dict[str, BinaryIO] = {digit: path.open("w+b") for digit, path in self._paths.items()}

    def add(self, name: str, encoded: bytes) -> int:
        """Append and return the offset."""
        file = self._files[name[0]]
        offset = file.seek(0, io.SEEK_END)
        file.write(encoded)
        return offset

    def read(self, item: SpooledItem) -> bytes:
        file = self._files[item.id[0]]
        file.seek(item.offset)
        return file.read(item.size)

    def drop(self, digit: str) -> None:
        """Free the disk space of one digit's items."""
        self._files.pop(digit).close()
        self._paths[digit].unlink()

    def close(self) -> None:
        for digit in list(self._files):
            self.drop(digit)


def shard_digits(items: int) -> int:
    """How many hex digits name a shard: changes once in a dataset's life, so adding items moves none but at that time."""
    return 1 if items <= MANY_ITEMS else 2


def write_shards(
    items: Iterable[tuple[SpooledItem, Beside]],
    digits: int,
    spool: Spool,
    described: Callable[[SpooledItem, Beside], dict[str, Any]],
    out: Callable[[str], Path],
) -> Iterator[tuple[SpooledItem, Beside, str, int]]:
    """Write ``shards/<digits>.tar``; yields each item with what is beside it, its shard, and the offset of its bytes in that.

    ``items``: sorted by id; ``digits``: see ``shard_digits``; ``described`` gives the content of ``<id>.json``. Equal items
    give equal files: headers hold neither times nor owners. Each digit's part of the spool is dropped once it is packed.
    """
    packed = ""
    for start, members in groupby(items, key=lambda one: one[0].id[:digits]):
        if packed and start[0] != packed:
            spool.drop(packed)
        packed = start[0]
        shard = f"shards/{start}.tar"
        with tarfile.open(out(shard), "w", format=tarfile.USTAR_FORMAT) as tar:
            for item, beside in members:
                offset = _append(tar, f"{item.id}.{item.format}", spool.read(item))
                _append(tar, f"{item.id}.json", _canonical(described(item, beside)))
                yield item, beside, shard, offset


def _append(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    start = tar.offset
    tar.addfile(info, io.BytesIO(data))
    return start + tarfile.BLOCKSIZE


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
