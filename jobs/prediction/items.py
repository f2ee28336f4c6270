"""Items as a network is fed, straight from their files: the way that prepare and evaluate together take them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from jobs.data.fetching import Source
from jobs.data.items import BadFile
from jobs.data.reading import read_files
from jobs.kinds import feed_of, items_of
from tlbatch.datasets.listing import ListedFile


@dataclass(frozen=True)
class Fed:
    """A usable file: its path, its content id, and the item as its kind loads it (a picture: uint8 [c, size, size])."""

    path: str
    id: str
    loaded: Tensor


def read_fed(
    files: Sequence[ListedFile], source: Source, settings: Mapping[str, Any], prepared: Mapping[str, Any], threads: int
) -> Generator[Fed | BadFile, None, None]:
    """Every file, in order, stored first as prepare does by its parameters ``prepared``.

    So a picture larger than ``stored_size`` is scaled and encoded, as those are that are learned from and tested: what a
    network says of a file is then what ``predictions.json`` has for it.
    """
    items, feed = items_of(settings.get("kind")), feed_of(settings)
    items.begin()

    def decode(file: ListedFile, data: bytes) -> Fed:
        item = items.read(file, data, prepared, compare=False)
        return Fed(file.path, item.id, feed.load(item.stored, settings))

    return read_files(files, source, threads, decode)
