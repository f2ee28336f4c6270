"""A dataset's listing, as prepare gets it: its files, and what the dataset says of each.

Its digest covers all of it but the place, so that it is taken anew every night at the cost of a walk over a folder or one sweep
of LIST requests.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TextIO

from tlbatch.datasets.walk import LeftOut
from tlbatch.errors import OtherVersionError
from tlbatch.packed import Packed, Packing, packed
from tlbatch.store.elements import Elements

LISTING_FORMAT = 1
FILES = "files"
AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file and what the dataset says of it. ``problem`` tells why it cannot be an image, where that is known already.

    Of several tasks ``label`` is that of the main one, "" where it is not known.
    """

    path: str  #: relative to the dataset's URL
    size: int  #: bytes
    etag: str  #: an S3 ETag, or time and size of a local file
    label: str
    part: str | None = None  #: train, validation or test
    group: str | None = None
    problem: str = ""
    tasks: Mapping[str, str] = field(default_factory=dict)  #: task -> label, of several tasks; those not known are not there


@dataclass(frozen=True)
class Listing:
    """A dataset's labelled files, sorted by path. ``unlabelled`` counts the files that nothing gives a label.

    ``corrected`` and ``left_out`` count what corrections (``tlbatch data relabel``) changed, ``passed_over`` is what else of
    the place is not in it, ``inner_parts`` are folders that look like parts and are not used so: no part of the digest.
    ``tasks``: the classes of each of several tasks, the main one first.
    """

    url: str
    classes: tuple[str, ...]
    empty_classes: tuple[str, ...]
    files: Packed[ListedFile]
    unlabelled: int = 0
    corrected: int = 0
    left_out: int = 0
    passed_over: tuple[LeftOut, ...] = ()
    inner_parts: tuple[str, ...] = ()
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", packed(ListedFile, self.files))  # of any sequence

    @property
    def digest(self) -> str:
        """sha256 (hex) over everything but the URL."""
        found = hashlib.sha256()
        for piece in self._pieces({}):
            found.update(piece)
        return found.hexdigest()

    def to_json(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """``to_json``, some thousand files at a time."""
        return self._pieces({"format": LISTING_FORMAT, "url": self.url})

    @staticmethod
    def from_json(data: bytes) -> Listing:
        """Decode, leniently towards unknown fields. Raises StudyError for a newer format."""
        return Listing._of(io.StringIO(data.decode()))

    @staticmethod
    def load(path: Path) -> Listing:
        """``from_json`` of a file. The text is not held."""
        with path.open(encoding="utf-8") as file:
            return Listing._of(file)

    @staticmethod
    def _of(file: TextIO) -> Listing:
        elements, packing = Elements(file, FILES), Packing(ListedFile)
        for each in elements:
            packing.append(_as_file(each))
        document = elements.other
        if document["format"] > LISTING_FORMAT:
            raise OtherVersionError(
                f"listing of format {document['format']}: this tlbatch reads up to {LISTING_FORMAT}; upgrade it"
            )
        classes, empty = tuple(document["classes"]), tuple(document["empty_classes"])
        tasks = {name: tuple(names) for name, names in document.get("tasks", ())}
        return Listing(document["url"], classes, empty, packing.packed(), document.get("unlabelled", 0), tasks=tasks)

    def _pieces(self, more: Mapping[str, Any]) -> Iterator[bytes]:
        """Canonical JSON, some thousand files at a time: as dictionaries a million would take a gigabyte."""
        rest = {
            "classes": self.classes,
            "empty_classes": self.empty_classes,
            "unlabelled": self.unlabelled,
            **({"tasks": [[name, list(classes)] for name, classes in self.tasks.items()]} if self.tasks else {}),
            **more,
        }
        before, after = ({name: value for name, value in rest.items() if (name < FILES) == first} for first in (True, False))
        yield _canonical(before)[:-1] + f',"{FILES}":['.encode()
        for start in range(0, len(self.files), AT_ONCE):
            piece = _canonical([_as_json(file) for file in self.files[start : start + AT_ONCE]])
            yield (b"," if start else b"") + piece[1:-1]
        yield b"]," + _canonical(after)[1:]


def _as_json(file: ListedFile) -> dict[str, Any]:
    """Without tasks where there are not several: digests are the same as ever."""
    return {name: getattr(file, name) for name in FIELDS if name != "tasks" or file.tasks}


def _as_file(document: Any) -> ListedFile:
    """Unknown fields are ignored. Raises ValueError for what is none."""
    if not isinstance(document, dict) or not document.keys() >= NEEDED or not isinstance(document["size"], int):
        raise ValueError("its files are none")
    return ListedFile(**{name: _once(value) for name, value in document.items() if name in FIELDS})


def _once(value: Any) -> Any:
    """Of equal texts one: labels, parts and groups come again and again."""
    return sys.intern(value) if isinstance(value, str) else value


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


FIELDS = tuple(each.name for each in fields(ListedFile))
NEEDED = frozenset({"path", "size", "etag", "label"})
