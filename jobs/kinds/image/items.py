"""Pictures as items of a dataset: read, identified, compared and shown, without torch (jobs.data.items.ItemKind)."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.data.index import IndexEntry
from jobs.data.items import Facts, ItemView, Likeness, ReadItem, SpooledItem
from tlbatch.datasets.listing import ListedFile

CROPPED = 0.015  # share cut off a side, from which a copy counts as cropped
SCALED = 0.02  # difference of the widths, from which it counts as scaled


class ImageItems:
    """What decoders do is in jobs.kinds.image.decode; a picture's facts are its sizes in pixels, stored and of its file."""

    equal = "Equal pixels by hash"
    changes = ("recompressed", "scaled", "cropped", "mirrored", "rotated")

    def begin(self) -> None:
        from PIL import Image

        warnings.filterwarnings("ignore", module=r"PIL\..*")  # of odd metadata: what matters is whether it decodes
        Image.init()

    def read(self, file: ListedFile, data: bytes, settings: Mapping[str, Any], *, compare: bool) -> ReadItem:
        """``settings``: ``stored_size``, the most pixels of a stored picture's shorter side."""
        from jobs.kinds.image.decode import content_id, decoded
        from jobs.kinds.image.near_duplicates import SMALLEST_SIDE
        from jobs.kinds.image.storing import encode_stored
        from jobs.kinds.image.thumbnails import thumbnail

        with decoded(data) as picture:
            image, stored = picture.image, encode_stored(picture, data, settings["stored_size"])
            source = {"source_width": image.width, "source_height": image.height}
            return ReadItem(
                file=file,
                id=content_id(image),
                stored=stored.encoded,
                format=stored.format,
                facts={"width": stored.width, "height": stored.height, **source},
                original=stored.original,
                likeness=thumbnail(image) if compare and min(image.size) >= SMALLEST_SIDE else None,
            )

    def finder(self, path: Path) -> ImageCopies:
        return ImageCopies(path)

    def overview(
        self,
        classes: Sequence[str],
        counts: Mapping[str, int],
        names: Mapping[str, Sequence[str]],
        read: Callable[[str], bytes],
    ) -> tuple[str, bytes]:
        from jobs.kinds.image.grid import draw_grid

        return "grid.jpg", draw_grid(classes, counts, names, read)

    def sizes(self, entries: Sequence[IndexEntry]) -> dict[str, Any]:
        """{width, height: {min, median, max}} of the files, in pixels."""
        return {side: _spread([entry.facts[f"source_{side}"] for entry in entries]) for side in ("width", "height")}

    def note(self, facts: Facts) -> str:
        """Equal pixels may be stored at another size."""
        return f"{facts['width']}x{facts['height']}"

    def show(self, stored: bytes, side: int) -> ItemView:
        from jobs.kinds.image.show import thumbnail_url

        return ItemView(url=thumbnail_url(stored, side))


class ImageCopies:
    """Near copies by thumbnails, which lie in a scratch file."""

    def __init__(self, path: Path) -> None:
        from jobs.kinds.image.thumbnails import Thumbnails

        self._thumbnails = Thumbnails(path)

    def add(self, likeness: bytes) -> int:
        return self._thumbnails.add(likeness)

    def find(self, items: Iterable[SpooledItem], progress: Callable[[int, int], None]) -> tuple[list[Likeness], str]:
        from jobs.kinds.image.near_duplicates import find_copies, method_of
        from jobs.threads import granted_threads
        from tlbatch.contracts.data import ALL_PAIRS, SHARED_FROM

        count = len(self._thumbnails)
        processes = granted_threads() if count >= SHARED_FROM else 1
        found = find_copies(self._thumbnails, progress, listed=count > ALL_PAIRS, processes=processes)
        copies = {number for pair in found.pairs for number in (pair.a, pair.b)}
        small, pictures = 0, list[SpooledItem]()
        for item in items:
            small += item.likeness is None
            if item.likeness in copies:
                pictures.append(item)
        method = method_of(found, small)
        if found.unverified:
            print(method)
        return likenesses(found.pairs, pictures), method

    def close(self) -> None:
        self._thumbnails.close()


def likenesses(pairs: Iterable[Any], pictures: Iterable[SpooledItem]) -> list[Likeness]:
    """Pairs by thumbnail number (near_duplicates.Pair) as pairs of pictures, with the kind of change."""
    by_number = {picture.likeness: picture for picture in pictures if picture.likeness is not None}
    found = []
    for pair in pairs:
        one, other = sorted((by_number[pair.a], by_number[pair.b]), key=lambda picture: picture.id)
        found.append(Likeness(one.id, other.id, _change(pair, one, other), pair.score))
    return sorted(found, key=lambda likeness: (likeness.a, likeness.b))


def _change(pair: Any, one: SpooledItem, other: SpooledItem) -> str:
    if pair.turn:
        return str(pair.turn)
    if pair.cut > CROPPED:
        return "cropped"
    widths = sorted((one.facts["source_width"], other.facts["source_width"]))
    return "scaled" if widths[1] > widths[0] * (1 + SCALED) else "recompressed"


def _spread(values: Sequence[int]) -> dict[str, int]:
    """Smallest, middle and largest."""
    ordered = sorted(values)
    return {"min": ordered[0], "median": round(statistics.median(ordered)), "max": ordered[-1]}


IMAGE = ImageItems()
