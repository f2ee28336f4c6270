"""The prepared dataset's index: which items there are, of which class, and where in the shards their bytes are."""

from __future__ import annotations

import json
import marshal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import groupby
from typing import Any

from tlbatch.store.artifacts import Artifact

INDEX_FILE = "index.jsonl"
READ_AT_ONCE = 2**20  # bytes


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One usable file.

    ``id`` names its content (40 hex digits; a picture's decoded pixels), so two files with the same content share it;
    ``offset`` and ``size`` (bytes) say where in ``shard`` it is stored; ``facts`` are what its kind of data says of it (a
    picture's ``width``, ``height``, ``source_width`` and ``source_height`` in pixels, after EXIF rotation). ``tasks``: its
    labels of several tasks, those that are known; ``label`` is that of the main one then, "" where it is not known.
    """

    id: str
    path: str  #: relative to the dataset's URL
    label: str
    part: str | None  #: train, validation or test, where the data says so itself
    group: str | None  #: items of a group stay in one part (a patient, a burst)
    dup: str | None  #: exact and near copies share it
    shard: str
    offset: int
    size: int
    format: str  #: suffix of the stored file: jpg or png
    facts: Mapping[str, Any] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)

    def to_line(self) -> str:
        """JSON: what every kind has, and the facts beside it; ``tasks`` where there are several."""
        common = {name: getattr(self, name) for name in COMMON} | ({TASKS: dict(self.tasks)} if self.tasks else {})
        return json.dumps({**self.facts, **common}, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n"


class Shared:
    """Makes entries of lines' JSON; of equal values that come again and again it gives one."""

    def __init__(self) -> None:
        self._texts: dict[str | None, str | None] = {}
        self._mappings: dict[bytes, Mapping[str, Any]] = {}

    def entry(self, document: dict[str, Any]) -> IndexEntry:
        """From a line's JSON: fields that not every kind has are facts."""
        tasks = self._mapping(document.pop(TASKS, None) or {})
        common = {name: document.pop(name) for name in COMMON}
        for name in REPEATED:
            common[name] = self._texts.setdefault(common[name], common[name])
        return IndexEntry(**common, facts=self._mapping(document), tasks=tasks)

    def _mapping(self, values: dict[str, Any]) -> Mapping[str, Any]:
        return self._mappings.setdefault(marshal.dumps(values), values)


TASKS = "tasks"
REPEATED = ("label", "part", "group", "dup", "shard", "format")
COMMON = tuple(each.name for each in fields(IndexEntry) if each.name not in ("facts", TASKS))


def index_lines(entries: Iterable[IndexEntry]) -> Iterable[str]:
    """``index.jsonl``, a line an entry. ``entries``: sorted by id and path."""
    return (entry.to_line() for entry in entries)


def by_content(entry: IndexEntry) -> tuple[str, str]:
    """The order of every list of items: by content, then by path."""
    return entry.id, entry.path


def load_index(artifact: Artifact) -> list[IndexEntry]:
    """All entries of a prepared dataset, sorted by id and path. Fields that not every kind has are facts.

    What many entries have in common (a label, a shard, a size in pixels) is one object, which nobody may change.
    """
    shared = Shared()
    with artifact.path(INDEX_FILE).open(encoding="utf-8") as lines:
        return [shared.entry(json.loads(line)) for line in lines if line != "\n"]


def read_stored(artifact: Artifact, entry: IndexEntry) -> bytes:
    """The stored file of an item (a picture's JPEG or PNG): one ranged read, nothing else of the shard is fetched."""
    return artifact.read_range(entry.shard, entry.offset, entry.size)


def read_all_stored(artifact: Artifact, entries: Iterable[IndexEntry]) -> Iterator[tuple[IndexEntry, bytes]]:
    """Entries and their stored files, in order; of neighbours in a shard up to ``READ_AT_ONCE`` bytes are read at a time."""
    for shard, neighbours in groupby(entries, lambda entry: entry.shard):
        for run in _runs(neighbours):
            yield from zip(run, artifact.read_ranges(shard, [(entry.offset, entry.size) for entry in run]), strict=True)


def _runs(entries: Iterable[IndexEntry]) -> Iterator[list[IndexEntry]]:
    """Entries together that have up to ``READ_AT_ONCE`` bytes together; of one that has more, it alone."""
    run: list[IndexEntry] = []
    for entry in entries:
        if run and sum(each.size for each in run) + entry.size > READ_AT_ONCE:
            yield run
            run = []
        run.append(entry)
    if run:
        yield run
