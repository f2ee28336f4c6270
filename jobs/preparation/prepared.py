"""What reading leaves in memory of a dataset: some hundred bytes a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from jobs.data.items import BadFile, CopyFinder, ItemKind, SpooledItem
from jobs.data.shards import Spool
from jobs.preparation.part import Part
from tlbatch.datasets.listing import ListedFile
from tlbatch.packed import Packed, Sorting


@dataclass(frozen=True, slots=True)
class UsedFile:
    """A file that holds an item, and what the dataset says of it (as in ListedFile). ``id``: of the item."""

    id: str
    path: str
    label: str
    part: str | None
    group: str | None
    tasks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contents:
    """Distinct items by id, and the files that hold them by id and path."""

    items: Packed[SpooledItem]
    files: Packed[UsedFile]

    def __iter__(self) -> Iterator[tuple[SpooledItem, list[UsedFile]]]:
        """Each item with its files."""
        by_id = groupby(self.files, key=attrgetter("id"))
        return ((item, list(files)) for item, (_, files) in zip(self.items, by_id, strict=True))


class Prepared:
    """The files read so far. Items, and what they are compared by, are in scratch files. ``used``: files that hold an item."""

    def __init__(self, kind: ItemKind, spool: Spool, finder: CopyFinder | None) -> None:
        self.kind, self.spool, self.finder = kind, spool, finder
        self.bad: list[BadFile] = []
        self.used = self.bytes_read = 0
        self._known: set[bytes] = set()
        self._items, self._files = Sorting(SpooledItem, "id"), Sorting(UsedFile, "id")

    def keep(self, file: ListedFile, part: Part, said: Mapping[str, Any]) -> None:
        """A file, as its part has it; its item the first time it comes. In the listing's order: numbers follow from it."""
        if "bad" in said:
            self.bad.append(BadFile(file, said["bad"]))
            return
        name = said["id"]
        self._files.append(UsedFile(name, file.path, file.label, file.part, file.group, file.tasks))
        self.used += 1
        self.bytes_read += file.size
        if (known := bytes.fromhex(name)) not in self._known:
            self._known.add(known)
            self._items.append(self._spooled(name, part, part.items[name]))

    def contents(self) -> Contents:
        """All of it; nothing is kept after that."""
        self._known.clear()
        return Contents(self._items.packed(), self._files.packed())

    def _spooled(self, name: str, part: Part, item: Mapping[str, Any]) -> SpooledItem:
        compared = None
        if item["likeness"] is not None and self.finder is not None:
            compared = self.finder.add(part.read(item["likeness"]))
        offset = self.spool.add(name, part.read(item["stored"]))
        size = item["stored"][1]
        return SpooledItem(name, offset, size, item["format"], item["facts"], item["original"], compared)
