"""Parts that attempts and shards of a prepare task have saved in its ``work/`` until it commits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from jobs.context import Context
from jobs.parts import StoredParts
from jobs.preparation.part import Part
from tlbatch import __version__
from tlbatch.datasets.listing import ListedFile
from tlbatch.steps import STEPS
from tlbatch.store import NotFoundError
from tlbatch.store.artifacts import load_manifest

PART_FORMAT = 1
FOLDER = "read"
HEX = 16  # digits of a hash that tells versions, or listed files, apart


class CommittedError(Exception):
    """The task is complete: whoever committed it has cleared the parts away."""


@dataclass(frozen=True)
class SavedPart:
    """Of the listing's files from place ``first`` up to ``last``."""

    name: str
    first: int
    last: int


class SavedParts:
    """Parts of these files by this version of the code; what others are there is as good as nothing.

    A part's name says its places, a hash of what was listed there (path, size, etag) and its own hash.
    """

    def __init__(self, context: Context, files: Sequence[ListedFile]) -> None:
        self._context, self._files = context, files
        self._stored = StoredParts(context, f"{FOLDER}/{made_by()}", ".part")

    def there(self) -> list[SavedPart]:
        """All that can be used, in the listing's order, the longest first where several begin at one place."""
        found = (self._of(name) for name in self._stored.names())
        return sorted((each for each in found if each is not None), key=lambda each: (each.first, -each.last, each.name))

    def save(self, part: Part) -> None:
        self._stored.save(part.path, f"{part.first:09d}-{part.last:09d}-{self._listed(part.first, part.last)}-")

    def open(self, saved: SavedPart) -> Part | None:
        """None where it is damaged or gone, in a line. Raises CommittedError where it is gone with the task's end."""
        try:
            part = Part(self._stored.fetch(saved.name))
        except NotFoundError as error:
            if load_manifest(self._context.store, self._context.task.step, self._context.task.key) is not None:
                raise CommittedError from error
            print(f"{error}: its {saved.last - saved.first} files are read again", flush=True)
            return None
        except ValueError as error:
            print(f"{error}: its {saved.last - saved.first} files are read again", flush=True)
            return None
        return part

    def _of(self, name: str) -> SavedPart | None:
        said = name.removeprefix(self._stored.prefix).split("-")
        if len(said) != 4 or not (said[0].isdigit() and said[1].isdigit()):
            return None
        first, last = int(said[0]), int(said[1])
        usable = first < last <= len(self._files) and said[2] == self._listed(first, last)
        return SavedPart(name, first, last) if usable else None

    def _listed(self, first: int, last: int) -> str:
        found = hashlib.sha256()
        for file in self._files[first:last]:
            found.update(json.dumps([file.path, file.size, file.etag]).encode())
        return found.hexdigest()[:HEX]


def made_by() -> str:
    """Another one for code that may read another way: parts of one dataset are all by the same."""
    by = (PART_FORMAT, STEPS["prepare"].version, __version__, metadata.version("pillow"))
    return hashlib.sha256(json.dumps(by).encode()).hexdigest()[:HEX]
