"""Rows that need no computing: of earlier extractions, of this task's earlier attempts, of its other shards."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.context import Context
from jobs.data.features import DESCRIPTION, FEATURES, VIEWS
from jobs.data.row_store import RowFile, Rows, Spool, image_of, open_rows, read_rows, write_rows
from jobs.parts import StoredParts
from tlbatch.errors import CorruptArtifactError
from tlbatch.store import NotFoundError
from tlbatch.store.artifacts import Artifact, FileEntry

SAME = ("backbone", "asked_layer", "pool", "input", "precision", "source")
"""What must be alike for features of one image to be alike."""
PART = "rows"
Width = Callable[[], int]
"""Asked where there are parts alone: a network that is to say it has to be opened first."""
DIGITS = 8  # of an image's id, by which shards share the images, too
NAMED = re.compile(r"/([0-9a-f]{8})-([0-9a-f]{8})-(\d+)-[0-9a-f]+\.safetensors$")


class Known:
    """Where each known row lies. What was added first stands."""

    def __init__(self) -> None:
        self._where: dict[str, tuple[Rows, int]] = {}

    def add(self, rows: Rows, images: Container[str] | None = None) -> None:
        """Add all rows, or those of some images (by id)."""
        for place, name in enumerate(rows.names):
            if images is None or image_of(name) in images:
                self._where.setdefault(name, (rows, place))

    def __contains__(self, name: str) -> bool:
        return name in self._where

    def read(self, names: Iterable[str]) -> Iterator[bytes]:
        """The rows' bytes in order, maybe several at a time. Raises KeyError for one that is not known."""
        return read_rows(self._where[name] for name in names)


class Older:
    """Row files of earlier artifacts of the same extractor. Whatever is wrong with one, it only saves less work."""

    def __init__(self, context: Context, description: Mapping[str, Any]) -> None:
        self.description: dict[str, Any] | None = None  #: of the newest
        self._files: list[tuple[str, FileEntry, RowFile]] = []
        for artifact in context.older():
            try:
                self._open(artifact, description)
            except (CorruptArtifactError, ValueError, KeyError):
                print(f"earlier features {artifact.manifest.key[:12]} cannot be read and are left aside", flush=True)

    def _open(self, artifact: Artifact, description: Mapping[str, Any]) -> None:
        theirs = artifact.read_json(DESCRIPTION)
        if any(theirs.get(name) != description[name] for name in SAME):
            return
        self.description = self.description or theirs
        kinds = [FEATURES] + ([VIEWS] if theirs.get("augmentation") == description["augmentation"] else [])
        for kind in kinds:
            for name in artifact.names(f"{kind}/"):
                self._files.append((name, artifact.manifest.files[name], open_rows(artifact.path(name))))

    def add_to(self, known: Known, notes: Mapping[str, str]) -> None:
        """Add the rows of images that are stored as they were: those whose note, by id, is the same."""
        for _, _, rows in self._files:
            theirs = dict(zip(rows.ids, rows.notes, strict=False))
            known.add(rows, {image_id for image_id, note in theirs.items() if notes.get(image_id) == note})

    def same(self, name: str, shape: Sequence[int], ids: Sequence[str], notes: Sequence[str]) -> FileEntry | None:
        """An earlier file of this name with just these rows."""
        wanted = (name, tuple(shape), tuple(ids), tuple(notes))
        files = (entry for file, entry, rows in self._files if (file, rows.shape, rows.ids, rows.notes) == wanted)
        return next(files, None)


@dataclass(frozen=True)
class _Saved:
    """What the name of a part says: how many rows it has, of images whose ids begin with 8 digits ``first`` to ``last``.

    Of a name that says nothing (earlier versions wrote such) ``rows`` is None: it may have any.
    """

    name: str
    first: str = "0" * DIGITS
    last: str = "f" * DIGITS
    rows: int | None = None

    @staticmethod
    def of(name: str) -> _Saved:
        said = NAMED.search(name)
        return _Saved(name) if said is None else _Saved(name, said[1], said[2], int(said[3]))


class Parts:
    """Rows that attempts and shards of this task have computed, kept in its ``work/`` until it commits.

    A shard fetches what may have rows of its own, and the others' only once all that is missing may be there, so that
    each part is fetched about once, not by every shard. ``folder``: which rows they are, where a task has several kinds.
    """

    def __init__(self, context: Context, folder: str = "rows") -> None:
        self._stored, self._scratch = StoredParts(context, folder, ".safetensors"), context.scratch
        self._saved = 0
        self._loaded: set[str] = set()

    def add_own(self, known: Known, width: Width | None, own: Sequence[str]) -> None:
        """Add the parts that may have some of these rows, if they are ``width()`` values wide (None: as wide as they are)."""
        if own:
            first, last = min(own)[:DIGITS], max(own)[:DIGITS]
            self._add(known, width, [part for part in self._there() if part.first <= last and first <= part.last])

    def add_rest(self, known: Known, width: Width | None, missing: int) -> None:
        """Add all others, where they can have as many rows as are missing; fewer would be of no use to anyone."""
        there = self._there() if missing else []
        if any(part.rows is None for part in there) or sum(part.rows or 0 for part in there) >= missing:
            self._add(known, width, there)

    def _there(self) -> list[_Saved]:
        """All in the store that were not added yet."""
        return [_Saved.of(name) for name in self._stored.names() if name not in self._loaded]

    def _add(self, known: Known, width: Width | None, parts: Iterable[_Saved]) -> None:
        for part in parts:
            try:
                rows = open_rows(self._stored.fetch(part.name))
            except (NotFoundError, FileNotFoundError):  # its task is complete
                continue
            except ValueError as error:
                print(f"{error}: its rows are computed again", flush=True)
                continue
            if width is None or width() == rows.width:
                known.add(rows)
            self._loaded.add(part.name)

    def save(self, spool: Spool) -> None:
        """Store the rows that came since the last time."""
        names = spool.names[self._saved :]
        if not names:
            return
        path = self._scratch / f"rows-{self._saved}.safetensors"
        rows = read_rows((spool, place) for place in range(self._saved, self._saved + len(names)))
        write_rows(path, PART, (len(names), spool.width), names, rows)
        mark = f"{min(names)[:DIGITS]}-{max(names)[:DIGITS]}-{len(names)}-"
        self._loaded.add(self._stored.save(path, mark))
        path.unlink()
        self._saved += len(names)
