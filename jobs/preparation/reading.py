"""A listing's files, read in parts: those that an earlier attempt or another shard has saved are not read again.

Files are put together in the listing's order, so that neither stops nor the number of shards change a bit.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Any

from jobs.context import Context
from jobs.data.fetching import Source
from jobs.data.items import BadFile, CopyFinder, ItemKind, ReadItem
from jobs.data.reading import read_files
from jobs.preparation.part import Part, PartWriter
from jobs.preparation.prepared import Prepared
from jobs.preparation.saved import SavedPart, SavedParts
from tlbatch.contracts.data import PrepareParams
from tlbatch.datasets.listing import ListedFile, Listing
from tlbatch.errors import DataError, DeadlineError, Stopped
from tlbatch.kinds import kind_of
from tlbatch.output import one_line
from tlbatch.roles import field_of

PART_S = 30.0  # what a kill costs at most
PART_BYTES = 128 * 2**20
PART_FILES = 10_000
SHOWN_BAD = 5  # files named in the sentence that ends a step with too many bad ones


class Reader:
    """Reads files of a listing. ``total``: of how many progress is told; ``read``: files, in ``seconds``."""

    def __init__(
        self, context: Context, listing: Listing, kind: ItemKind, params: PrepareParams, finder: CopyFinder | None
    ) -> None:
        self.files, self.saved = listing.files, SavedParts(context, listing.files)
        self.kind, self.finder = kind, finder
        self.read, self.seconds = 0, 0.0
        self._context, self._params = context, params
        self._items = kind_of(params.kind).items
        self._source = Source(context.task.locations["dataset"])
        self.begin(len(listing.files))
        kind.begin()

    def parts(self, first: int, last: int, *, save_all: bool = False) -> Generator[Part, None, None]:
        """The files from place ``first`` up to ``last``. Parts are saved, but for a last short one without ``save_all``.

        Raises DataError once too many are bad; Stopped and DeadlineError after what was read has been saved.
        """
        began, writer = time.monotonic(), None
        source, context = self._source, self._context
        with closing(read_files(self.files[first:last], source, context.threads, self._item)) as results:
            try:
                for place, result in enumerate(results, first):
                    writer = writer or PartWriter(context.scratch / f"read-{place}.part", place)
                    self._add(writer, result)
                    if len(writer) == PART_FILES or writer.size > PART_BYTES or time.monotonic() - began > PART_S:
                        yield self._whole(writer, began, save=True)
                        began, writer = time.monotonic(), None
            except (Stopped, DeadlineError):
                if writer:
                    self._whole(writer, began, save=True)
                raise
        if writer:
            yield self._whole(writer, began, save=save_all)

    def note_bad(self, file: BadFile) -> None:
        """Stop as soon as more than the share ``max_bad`` of all files is bad. Raises DataError."""
        self._bad.append(file)
        where = field_of(self._context.task.name)
        _check_share(self._bad, len(self.files), self._params.max_bad, where)

    def begin(self, total: int) -> None:
        """Progress is told, and bad files are counted, from here on."""
        self.done, self.total = 0, total
        self._bad: list[BadFile] = []

    def progress(self, files: int = 1) -> None:
        self._context.check_stop()
        self.done += files
        self._context.progress(self.done, self.total, self._items, "reading")

    def _item(self, file: ListedFile, data: bytes) -> ReadItem:
        return self.kind.read(file, data, self._params.stored, compare=self.finder is not None)

    def _add(self, writer: PartWriter, result: ReadItem | BadFile) -> None:
        writer.add(result)
        self.read += 1
        if isinstance(result, BadFile):
            print(one_line(f"{result.file.path}: {result.reason}"))
            self.note_bad(result)
        self.progress()

    def _whole(self, writer: PartWriter, began: float, *, save: bool) -> Part:
        part = writer.close()
        if save:
            self.saved.save(part)
        self.seconds += time.monotonic() - began
        return part


def gather(reader: Reader, prepared: Prepared) -> None:
    """All files into ``prepared``, in the listing's order: from saved parts, and read where there is none.

    Raises CommittedError where the task is complete meanwhile, and as ``Reader.parts``.
    """
    reader.begin(len(reader.files))
    saved, place = reader.saved.there(), 0
    while place < len(reader.files):
        known = _until(saved, place)
        if known is None:
            end = min((each.first for each in saved if each.first > place), default=len(reader.files))
            _read(reader, prepared, place, end)
            place = end
            continue
        part = reader.saved.open(known)
        if part is None:
            saved.remove(known)
            continue
        _keep_saved(reader, prepared, part, place)
        place = known.last


def read_own(reader: Reader, first: int, last: int) -> None:
    """Save parts of what no saved part has of the files from ``first`` up to ``last``: what one shard of several does."""
    reader.begin(last - first)
    saved, place = reader.saved.there(), first
    while place < last:
        known = _until(saved, place)
        if known is not None:
            end = min(known.last, last)
            reader.progress(end - place)
        else:
            end = min((each.first for each in saved if place < each.first < last), default=last)
            with closing(reader.parts(place, end, save_all=True)) as parts:
                for part in parts:
                    part.drop()
        place = end


def all_saved(reader: Reader) -> bool:
    """Whether saved parts have all files."""
    saved, place = reader.saved.there(), 0
    while place < len(reader.files):
        known = _until(saved, place)
        if known is None:
            return False
        place = known.last
    return True


def _until(saved: list[SavedPart], place: int) -> SavedPart | None:
    """The part that has the file at a place and reaches farthest."""
    return max((each for each in saved if each.first <= place < each.last), key=lambda each: each.last, default=None)


def _read(reader: Reader, prepared: Prepared, first: int, last: int) -> None:
    with closing(reader.parts(first, last)) as parts:
        for part in parts:
            for file, said in zip(reader.files[part.first : part.last], part.files, strict=True):
                prepared.keep(file, part, said)
            part.drop()


def _keep_saved(reader: Reader, prepared: Prepared, part: Part, start: int) -> None:
    """From ``start`` on. Files that could not be read when the part was made are read now."""
    for place in range(start, part.last):
        said: Mapping[str, Any] = part.files[place - part.first]
        if said.get("unread"):
            _read(reader, prepared, place, place + 1)
            continue
        file = reader.files[place]
        if "bad" in said:
            reader.note_bad(BadFile(file, said["bad"]))
        prepared.keep(file, part, said)
        reader.progress()
    part.drop()


def _check_share(bad: list[BadFile], total: int, most: float, field: str) -> None:
    """Raises DataError where more than the share ``most`` of all files is bad. ``field``: where a study says it."""
    if len(bad) > most * total:
        raise DataError(
            f"{len(bad)} of {total} files cannot be used so far, and {field}.max_bad allows {most:.1%}: {some(bad)}; "
            f"fix or remove them, or raise {field}.max_bad"
        )


def some(bad: list[BadFile]) -> str:
    """The first few, with reasons."""
    named = "; ".join(f"{each.file.path} ({each.reason})" for each in bad[:SHOWN_BAD])
    return named + (f"; and {len(bad) - SHOWN_BAD} more" if len(bad) > SHOWN_BAD else "")
