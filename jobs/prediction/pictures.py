"""Pictures as a network is fed, straight from their files: the way that prepare and evaluate together take them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from jobs.data.decode import content_id, decoded
from jobs.data.fetching import Source
from jobs.data.pixels import load_pixels
from jobs.data.reading import BadFile, read_files
from jobs.data.storing import encode_stored
from tlbatch.datasets.listing import ListedFile


@dataclass(frozen=True)
class Fed:
    """A usable picture: its file's path, its content id, and uint8 [c, size, size] as the network is fed."""

    path: str
    id: str
    pixels: Tensor


def read_fed(
    files: Sequence[ListedFile], source: Source, settings: Mapping[str, Any], stored_size: int, threads: int
) -> Generator[Fed | BadFile, None, None]:
    """Every file, in order.

    A picture larger than ``stored_size`` is scaled and encoded first, as prepare stores those that are learned from and
    tested: what a network says of a file is then what ``predictions.json`` has for it.
    """

    def decode(file: ListedFile, data: bytes) -> Fed:
        with decoded(data) as picture:
            stored = encode_stored(picture, data, stored_size)
            return Fed(file.path, content_id(picture.image), load_pixels(stored.encoded, settings))

    return read_files(files, source, threads, decode)
