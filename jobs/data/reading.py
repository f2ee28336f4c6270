"""All files of a listing read and decoded in parallel, one after the other in the listing's order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from threading import BoundedSemaphore
from typing import TypeVar

from jobs.data.fetching import Source, in_threads
from jobs.data.items import BadFile, BadItemError, UnreadableError
from tlbatch.datasets.listing import ListedFile

T = TypeVar("T")
FETCHES = 12  # requests under way at once where the dataset is remote
LEAST_BYTES = 256 * 1024  # what a file in flight counts at least


def read_files(
    files: Sequence[ListedFile], source: Source, threads: int, decode: Callable[[ListedFile, bytes], T]
) -> Generator[T | BadFile, None, None]:
    """What ``decode`` makes of every file, in order. Files in flight take bounded memory; ``threads`` are decoded at a time.

    Threads do as well as processes here: reading, decoding, scaling and hashing run outside Python's lock.
    """
    decoding = BoundedSemaphore(threads)

    def read(file: ListedFile) -> T | BadFile:
        try:
            data = source.read(file)
            with decoding:
                return decode(file, data)
        except BadItemError as error:
            return BadFile(file, str(error), isinstance(error, UnreadableError))

    workers = threads + (FETCHES if source.is_remote else 0)
    yield from in_threads(workers, read, files, lambda file: max(file.size, LEAST_BYTES))
