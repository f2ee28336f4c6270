"""The data card: what there is, what cannot be used and why, which pictures are there twice."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from jobs.data.index import IndexEntry
from jobs.data.reading import BadFile
from jobs.data.shards import SpooledPicture
from tlbatch.datasets.listing import Listing


def data_card(
    listing: Listing,
    entries: Sequence[IndexEntry],
    pictures: Iterable[SpooledPicture],
    bad: Sequence[BadFile],
    duplicates: dict[str, Any],
    method: str,
) -> dict[str, Any]:
    """``card.json``. Pure; holds neither times nor places, so equal data gives an equal card."""
    counts = Counter(entry.label for entry in entries)
    stored = list(pictures)
    return {
        "classes": list(listing.classes),
        "counts": {name: counts[name] for name in listing.classes},
        "empty_classes": sorted({*listing.empty_classes, *(name for name in listing.classes if not counts[name])}),
        "bad": len(bad),
        "unlabelled": listing.unlabelled,
        "duplicates": duplicates,
        "method": method,
        "sizes": {
            "files": len(listing.files),
            "images": len(entries),
            "pictures": len(stored),
            "bytes": sum(picture.size for picture in stored),
            "width": _spread(entry.source_width for entry in entries),
            "height": _spread(entry.source_height for entry in entries),
            "formats": dict(sorted(Counter(picture.format for picture in stored).items())),
            "reencoded": sum(not picture.original for picture in stored),
        },
    }


def _spread(values: Iterable[int]) -> dict[str, int]:
    """Smallest, middle and largest, in pixels."""
    ordered = sorted(values)
    return {"min": ordered[0], "median": round(statistics.median(ordered)), "max": ordered[-1]}
