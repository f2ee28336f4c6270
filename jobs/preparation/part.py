"""A part: what reading made of some files that follow each other in a listing, in one file.

Stored bytes and likenesses of the distinct items come first, then JSON ``{first, files, items}``, last its length (8 bytes,
little-endian). ``first``: place of the first file in the listing; ``files``, one a file: {id}, or {bad: reason} with unread:
true where the file could not be read; ``items``: id to {stored: [offset, size], format, facts, original, likeness: the same, or
null}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.data.items import BadFile, ReadItem
from tlbatch.store.documents import parse

LENGTH = 8  # bytes at the end


class PartWriter:
    """A part on its way to disk: memory holds what is said of its files, no item. ``first``: the place of its first file."""

    def __init__(self, path: Path, first: int) -> None:
        self.path, self.first, self.size = path, first, 0
        self._file = path.open("wb")
        self._files: list[dict[str, Any]] = []
        self._items: dict[str, dict[str, Any]] = {}

    def __len__(self) -> int:
        """Files so far."""
        return len(self._files)

    def add(self, result: ReadItem | BadFile) -> None:
        """What the next file is. Of files with equal content the first one's item is kept."""
        if isinstance(result, BadFile):
            self._files.append({"bad": result.reason} | ({"unread": True} if result.unread else {}))
            return
        self._files.append({"id": result.id})
        if result.id not in self._items:
            self._items[result.id] = {
                "stored": self._append(result.stored),
                "format": result.format,
                "facts": dict(result.facts),
                "original": result.original,
                "likeness": None if result.likeness is None else self._append(result.likeness),
            }

    def close(self) -> Part:
        """The whole part."""
        document = {"first": self.first, "files": self._files, "items": self._items}
        said = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
        self._file.write(said + len(said).to_bytes(LENGTH, "little"))
        self._file.close()
        return Part(self.path)

    def _append(self, data: bytes) -> tuple[int, int]:
        offset, self.size = self.size, self.size + len(data)
        self._file.write(data)
        return offset, len(data)


class Part:
    """A whole part on disk. Raises ValueError where it is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            end = file.seek(0, 2) - LENGTH
            file.seek(max(end, 0))
            size = int.from_bytes(file.read(LENGTH), "little")
            if end < size:
                raise ValueError(f"{path}: no part")
            file.seek(end - size)
            document = parse(file.read(size))
        self.first: int = document["first"]
        self.files: list[Mapping[str, Any]] = document["files"]
        self.items: Mapping[str, Mapping[str, Any]] = document["items"]
        self._open = path.open("rb")

    @property
    def last(self) -> int:
        """The place after its last file."""
        return self.first + len(self.files)

    def read(self, where: tuple[int, int]) -> bytes:
        """Bytes by offset and size."""
        self._open.seek(where[0])
        return self._open.read(where[1])

    def drop(self) -> None:
        """Free the disk space."""
        self._open.close()
        self.path.unlink(missing_ok=True)
