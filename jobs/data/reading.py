"""All files of a listing decoded, checked and packed for storing, in parallel, one after the other in the listing's order."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import TypeVar

from PIL import Image

from jobs.data.decode import BadImageError, content_id, decoded
from jobs.data.fetching import Source, ahead
from jobs.data.near_duplicates import SMALLEST_SIDE
from jobs.data.storing import Stored, encode_stored
from jobs.data.thumbnails import thumbnail
from tlbatch.datasets.listing import ListedFile, Listing

T = TypeVar("T")
IN_FLIGHT_BYTES = 64 * 2**20
FETCHES = 12  # requests under way at once where the dataset is remote
LEAST_BYTES = 256 * 1024  # what a file in flight counts at least


@dataclass(frozen=True)
class ReadImage:
    """A usable file: the content id of its picture, the picture's own size in pixels, and what is to be stored of it."""

    file: ListedFile
    id: str
    width: int
    height: int
    format: str
    stored: Stored
    thumbnail: bytes | None


@dataclass(frozen=True)
class BadFile:
    """A file that cannot be used, and why."""

    file: ListedFile
    reason: str


def read_images(
    listing: Listing, source: Source, stored_size: int, threads: int, *, thumbnails: bool
) -> Generator[ReadImage | BadFile, None, None]:
    """Every file of a listing, decoded, checked and packed for storing, in order."""
    return read_files(listing.files, source, threads, lambda file, data: _read(file, data, stored_size, thumbnails))


def read_files(
    files: Sequence[ListedFile], source: Source, threads: int, decode: Callable[[ListedFile, bytes], T]
) -> Generator[T | BadFile, None, None]:
    """What ``decode`` makes of every file, in order. Files in flight take bounded memory; ``threads`` are decoded at a time.

    Threads do as well as processes here: reading, decoding, scaling and hashing run outside Python's lock.
    """
    warnings.filterwarnings("ignore", module=r"PIL\..*")  # of odd metadata: what matters is whether it decodes
    Image.init()
    decoding = BoundedSemaphore(threads)

    def read(file: ListedFile) -> T | BadFile:
        try:
            data = source.read(file)
            with decoding:
                return decode(file, data)
        except BadImageError as error:
            return BadFile(file, str(error))

    workers = threads + (FETCHES if source.is_remote else 0)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read")
    try:
        yield from ahead(pool, read, files, lambda file: max(file.size, LEAST_BYTES), IN_FLIGHT_BYTES)
    finally:
        pool.shutdown(cancel_futures=True)


def _read(file: ListedFile, data: bytes, stored_size: int, thumbnails: bool) -> ReadImage:
    with decoded(data) as picture:
        image = picture.image
        compared = thumbnails and min(image.size) >= SMALLEST_SIDE
        return ReadImage(
            file=file,
            id=content_id(image),
            width=image.width,
            height=image.height,
            format=picture.format,
            stored=encode_stored(picture, data, stored_size),
            thumbnail=thumbnail(image) if compared else None,
        )
