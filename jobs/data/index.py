"""The prepared dataset's index: which images there are, what they show, and where in the shards their bytes are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tlbatch.store.artifacts import Artifact

INDEX_FILE = "index.jsonl"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One usable image file.

    ``id`` names the decoded pixels (40 hex digits), so two files with the same picture share it. Sizes are in pixels,
    after EXIF rotation; ``offset`` and ``size`` (bytes) say where in ``shard`` the encoded image lies.
    """

    id: str
    path: str  #: relative to the dataset's URL
    label: str
    width: int
    height: int
    source_width: int
    source_height: int
    part: str | None  #: train, validation or test, where the data says so itself
    group: str | None  #: images of a group stay in one part (a patient, a burst)
    dup: str | None  #: exact and near copies share it
    shard: str
    offset: int
    size: int
    format: str  #: jpg or png

    def to_line(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n"


FIELDS = tuple(IndexEntry.__dataclass_fields__)


def index_lines(entries: Iterable[IndexEntry]) -> Iterable[str]:
    """``index.jsonl``, a line an entry, sorted by id and path."""
    return (entry.to_line() for entry in sorted(entries, key=by_content))


def by_content(entry: IndexEntry) -> tuple[str, str]:
    """The order of every list of images: by content, then by path."""
    return entry.id, entry.path


def load_index(artifact: Artifact) -> list[IndexEntry]:
    """All entries of a prepared dataset, sorted by id and path. Unknown fields of newer versions are ignored."""
    lines = artifact.read_bytes(INDEX_FILE).decode().split("\n")  # not splitlines: a path may hold U+2028
    documents = (json.loads(line) for line in lines if line)
    return [IndexEntry(**{name: document[name] for name in FIELDS}) for document in documents]


def read_encoded(artifact: Artifact, entry: IndexEntry) -> bytes:
    """The stored JPEG or PNG file of an image: one ranged read, nothing else of the shard is fetched."""
    return artifact.read_range(entry.shard, entry.offset, entry.size)
