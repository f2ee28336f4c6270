"""The data card: what there is, what cannot be used and why, which items are there twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.data.index import IndexEntry
from jobs.data.items import BadFile, SpooledItem
from tlbatch.datasets.listing import Listing
from tlbatch.packed import Packed


def data_card(
    listing: Listing,
    entries: Packed[IndexEntry],
    items: Packed[SpooledItem],
    bad: Sequence[BadFile],
    duplicates: dict[str, Any],
    method: str,
    measures: Mapping[str, Any],
) -> dict[str, Any]:
    """``card.json``. Pure; holds neither times nor places, so equal data gives an equal card. ``measures``: ItemKind.sizes."""
    counts = Counter(entries.column("label"))
    return {
        "classes": list(listing.classes),
        "counts": {name: counts[name] for name in listing.classes},
        "empty_classes": sorted({*listing.empty_classes, *(name for name in listing.classes if not counts[name])}),
        "bad": len(bad),
        "unlabelled": listing.unlabelled,
        "duplicates": duplicates,
        "method": method,
        **({"tasks": _tasks(listing, entries)} if listing.tasks else {}),
        "sizes": {
            "files": len(listing.files),
            "images": len(entries),
            "pictures": len(items),
            "bytes": sum(items.column("size")),
            "formats": dict(sorted(Counter(items.column("format")).items())),
            "reencoded": sum(not original for original in items.column("original")),
            **measures,
        },
    }


def _tasks(listing: Listing, entries: Packed[IndexEntry]) -> dict[str, dict[str, int]]:
    """Of each of several tasks, how many items of each class."""
    counts = {task: Counter(said.get(task) for said in entries.column("tasks")) for task in listing.tasks}
    return {task: {name: counts[task][name] for name in classes} for task, classes in listing.tasks.items()}
