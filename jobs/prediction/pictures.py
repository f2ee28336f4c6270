"""Pictures as a network is fed, straight from their files: the way that prepare and evaluate together take them."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any

from PIL import Image
from torch import Tensor

from jobs.data.decode import BadImageError, content_id, decoded
from jobs.data.fetching import Source, ahead
from jobs.data.pixels import load_pixels
from jobs.data.reading import FETCHES, IN_FLIGHT_BYTES, LEAST_BYTES
from jobs.data.storing import encode_stored
from tlbatch.listing import ListedFile


@dataclass(frozen=True)
class Fed:
    """A usable picture: its file's path, its content id, and uint8 [c, size, size] as the network is fed."""

    path: str
    id: str
    pixels: Tensor


@dataclass(frozen=True)
class Bad:
    """A file that cannot be used, and why."""

    path: str
    reason: str


def read_fed(
    files: Sequence[ListedFile], source: Source, settings: Mapping[str, Any], stored_size: int, threads: int
) -> Generator[Fed | Bad, None, None]:
    """Every file, in order. Files in flight take bounded memory; ``threads`` pictures are decoded at a time.

    A picture larger than ``stored_size`` is scaled and encoded first, as prepare stores those that are learned from and
    tested: what a network says of a file is then what ``predictions.json`` has for it.
    """
    warnings.filterwarnings("ignore", module=r"PIL\..*")  # of odd metadata: what matters is whether it decodes
    Image.init()
    decoding = BoundedSemaphore(threads)

    def read(file: ListedFile) -> Fed | Bad:
        try:
            data = source.read(file)
            with decoding, decoded(data) as picture:
                stored = encode_stored(picture, data, stored_size)
                return Fed(file.path, content_id(picture.image), load_pixels(stored.encoded, settings))
        except BadImageError as error:
            return Bad(file.path, str(error))

    workers = threads + (FETCHES if source.is_remote else 0)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read")
    try:
        yield from ahead(pool, read, files, lambda file: max(file.size, LEAST_BYTES), IN_FLIGHT_BYTES)
    finally:
        pool.shutdown(cancel_futures=True)
