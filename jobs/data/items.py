"""What every kind of data has in common: items, each the content of one or more files, and files that hold none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from jobs.data.index import IndexEntry
from tlbatch.datasets.listing import ListedFile
from tlbatch.errors import DataError

SHOWN = 64  # items of a class that an overview may show
Facts = Mapping[str, Any]
"""What a kind of data says of an item in the index: JSON values (a picture's width and height)."""


class BadItemError(DataError):
    """A file that cannot be used. Its text is the reason, as it stands in ``bad.jsonl``."""


class UnreadableError(BadItemError):
    """What is in the file is not known: it could not be read. Another time it may be."""


@dataclass(frozen=True)
class BadFile:
    """A file that cannot be used, and why. ``unread``: what is in it is not known."""

    file: ListedFile
    reason: str
    unread: bool = False


@dataclass(frozen=True)
class ReadItem:
    """A usable file. ``id``: 40 hex digits, equal for equal content; ``stored``: the bytes that go into a shard.

    ``format``: their suffix; ``original``: they are the file's own; ``likeness``: what copies are found by, None where this
    item is not compared.
    """

    file: ListedFile
    id: str
    stored: bytes
    format: str
    facts: Facts
    original: bool = True
    likeness: bytes | None = None


@dataclass(frozen=True, slots=True)
class SpooledItem:
    """One distinct item: where its stored bytes lie in the spool, and what they are."""

    id: str
    offset: int
    size: int  #: bytes
    format: str
    facts: Facts
    original: bool
    likeness: int | None = None  #: its number among what is compared; None where it is not


@dataclass(frozen=True)
class Likeness:
    """Two distinct items that are near copies, by content id; ``kind`` of change, a word of the kind's ``changes``."""

    a: str
    b: str
    kind: str
    score: float


class CopyFinder(Protocol):
    """Finds near copies among items by what ``likeness`` holds."""

    def add(self, likeness: bytes) -> int:
        """Its number: 0, 1, …"""

    def find(self, items: Iterable[SpooledItem], progress: Callable[[int, int], None]) -> tuple[list[Likeness], str]:
        """Pairs, sorted, and how they were looked for, in words. ``progress(done, total)`` may raise."""

    def close(self) -> None:
        """Free what it holds on disk."""


class ItemKind(Protocol):
    """How items of one kind of data are read, identified, compared and shown: what needs no torch.

    ``equal``: how equal content is found, in words. ``changes``: kinds of near copies, from the least change to the most.
    """

    equal: str
    changes: Sequence[str]

    def begin(self) -> None:
        """Called once, by one thread, before the first is read."""

    def read(self, file: ListedFile, data: bytes, settings: Mapping[str, Any], *, compare: bool) -> ReadItem:
        """A whole file's item. ``settings``: ``stored_size``, and what is set of the kind.

        Raises BadItemError. Called from several threads.
        """

    def finder(self, path: Path) -> CopyFinder | None:
        """With a scratch file at ``path``; None where near copies of this kind are not looked for."""

    def overview(
        self,
        classes: Sequence[str],
        counts: Mapping[str, int],
        names: Mapping[str, Sequence[str]],
        read: Callable[[str], bytes],
    ) -> tuple[str, bytes] | None:
        """A file's name and content that shows some items of each class; ``read(id)``: a stored item.

        ``names``: ids of the first ``SHOWN`` items of a class; ``counts``: of its files.
        """

    def sizes(self, entries: Sequence[IndexEntry]) -> Mapping[str, Any]:
        """What the data card says of the items' measures, beside their number and bytes."""

    def note(self, facts: Facts) -> str:
        """What of an item's stored form features depend on."""

    def show(self, stored: bytes, side: int) -> ItemView:
        """An item for a report, at most ``side`` pixels wide and high."""


@dataclass(frozen=True)
class ItemView:
    """An item as a page shows it: a picture's ``url`` (data:…), or ``text``."""

    url: str = ""
    text: str = ""
