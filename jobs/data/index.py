"""The prepared dataset's index: which items there are, of which class, and where in the shards their bytes are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tlbatch.store.artifacts import Artifact

INDEX_FILE = "index.jsonl"


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

    @staticmethod
    def of(document: Mapping[str, Any]) -> IndexEntry:
        """From a line's JSON: fields that not every kind has are facts."""
        facts = {name: value for name, value in document.items() if name not in (*COMMON, TASKS)}
        return IndexEntry(**{name: document[name] for name in COMMON}, facts=facts, tasks=document.get(TASKS) or {})

    def to_line(self) -> str:
        """JSON: what every kind has, and the facts beside it; ``tasks`` where there are several."""
        common = {name: getattr(self, name) for name in COMMON} | ({TASKS: dict(self.tasks)} if self.tasks else {})
        return json.dumps({**self.facts, **common}, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n"


TASKS = "tasks"
COMMON = tuple(each.name for each in fields(IndexEntry) if each.name not in ("facts", TASKS))


def index_lines(entries: Iterable[IndexEntry]) -> Iterable[str]:
    """``index.jsonl``, a line an entry, sorted by id and path."""
    return (entry.to_line() for entry in sorted(entries, key=by_content))


def by_content(entry: IndexEntry) -> tuple[str, str]:
    """The order of every list of items: by content, then by path."""
    return entry.id, entry.path


def load_index(artifact: Artifact) -> list[IndexEntry]:
    """All entries of a prepared dataset, sorted by id and path. Fields that not every kind has are facts."""
    lines = artifact.read_bytes(INDEX_FILE).decode().split("\n")  # not splitlines: a path may hold U+2028
    documents = (json.loads(line) for line in lines if line)
    return [IndexEntry.of(document) for document in documents]


def read_stored(artifact: Artifact, entry: IndexEntry) -> bytes:
    """The stored file of an item (a picture's JPEG or PNG): one ranged read, nothing else of the shard is fetched."""
    return artifact.read_range(entry.shard, entry.offset, entry.size)
