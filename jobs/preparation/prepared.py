"""What reading leaves in memory of a dataset: a few hundred bytes a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.data.items import BadFile, CopyFinder, ItemKind, SpooledItem
from jobs.data.shards import Spool
from jobs.preparation.part import Part
from tlbatch.datasets.listing import ListedFile


@dataclass
class Prepared:
    """The files read so far. Items, and what they are compared by, are in scratch files."""

    kind: ItemKind
    spool: Spool
    finder: CopyFinder | None
    items: dict[str, SpooledItem] = field(default_factory=dict)
    files: list[tuple[str, ListedFile]] = field(default_factory=list)  #: (content id, file)
    bad: list[BadFile] = field(default_factory=list)
    bytes_read: int = 0

    def keep(self, file: ListedFile, part: Part, said: Mapping[str, Any]) -> None:
        """A file, as its part has it; its item the first time it comes. In the listing's order: numbers follow from it."""
        if "bad" in said:
            self.bad.append(BadFile(file, said["bad"]))
            return
        name = said["id"]
        self.files.append((name, file))
        self.bytes_read += file.size
        if name not in self.items:
            self.items[name] = self._spooled(name, part, part.items[name])

    def _spooled(self, name: str, part: Part, item: Mapping[str, Any]) -> SpooledItem:
        compared = None
        if item["likeness"] is not None and self.finder is not None:
            compared = self.finder.add(part.read(item["likeness"]))
        offset = self.spool.add(name, part.read(item["stored"]))
        size = item["stored"][1]
        return SpooledItem(name, offset, size, item["format"], item["facts"], item["original"], compared)

    def by_content(self) -> dict[str, list[ListedFile]]:
        """Content id to its files, sorted by path."""
        found: dict[str, list[ListedFile]] = defaultdict(list)
        for name, file in sorted(self.files, key=lambda item: (item[0], item[1].path)):
            found[name].append(file)
        return dict(found)
