"""WebDataset shards: tar files of ``<id>.jpg|png`` and ``<id>.json``, an image's shard decided by its own content hash."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MANY_PICTURES = 2_000
"""Beyond it two hex digits of the content hash name the shard instead of one: 256 shards instead of 16."""


@dataclass(frozen=True, slots=True)
class SpooledPicture:
    """One distinct picture: where its encoded bytes lie in the spool, and what they are. Sizes in pixels."""

    id: str
    offset: int
    size: int  #: bytes
    format: str
    width: int
    height: int
    source_width: int
    source_height: int
    original: bool  #: the bytes are those of the file
    thumbnail: int | None  #: its number among the thumbnails; None where it is not compared


class Spool:
    """Encoded pictures on their way into shards: scratch files by the first digit of the content hash, appended to."""

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

    def read(self, picture: SpooledPicture) -> bytes:
        file = self._files[picture.id[0]]
        file.seek(picture.offset)
        return file.read(picture.size)

    def drop(self, digit: str) -> None:
        """Free the disk space of one digit's pictures."""
        self._files.pop(digit).close()
        self._paths[digit].unlink()

    def close(self) -> None:
        for digit in list(self._files):
            self.drop(digit)


def shard_digits(pictures: int) -> int:
    """How many hex digits name a shard: changes once in a dataset's life, so adding images moves none but at that time."""
    return 1 if pictures <= MANY_PICTURES else 2


def write_shards(
    pictures: Mapping[str, SpooledPicture],
    spool: Spool,
    described: Callable[[str], dict[str, Any]],
    out: Callable[[str], Path],
) -> Iterator[tuple[str, str, int]]:
    """Write ``shards/<digits>.tar``, each sorted by id; yields (id, shard, offset of the image's bytes in it).

    ``described(id)`` is the content of ``<id>.json``. Equal pictures give equal files: headers hold neither times nor owners.
    Each digit's part of the spool is dropped once it is packed.
    """
    digits = shard_digits(len(pictures))
    names = sorted(pictures)
    shards: dict[str, list[str]] = {}
    for name in names:
        shards.setdefault(name[:digits], []).append(name)
    packed = ""
    for start, members in shards.items():
        if packed and start[0] != packed:
            spool.drop(packed)
        packed = start[0]
        shard = f"shards/{start}.tar"
        with tarfile.open(out(shard), "w", format=tarfile.USTAR_FORMAT) as tar:
            for name in members:
                offset = _append(tar, f"{name}.{pictures[name].format}", spool.read(pictures[name]))
                _append(tar, f"{name}.json", _canonical(described(name)))
                yield name, shard, offset


def _append(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    start = tar.offset
    tar.addfile(info, io.BytesIO(data))
    return start + tarfile.BLOCKSIZE


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
