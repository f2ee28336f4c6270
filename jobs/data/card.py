"""The data card: what there is, what cannot be used and why, which items are there twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jobs.data.index import IndexEntry
from jobs.data.items import BadFile, SpooledItem
from tlbatch.datasets.listing import Listing


def data_card(
    listing: Listing,
    entries: Sequence[IndexEntry],
    items: Iterable[SpooledItem],
    bad: Sequence[BadFile],
    duplicates: dict[str, Any],
    method: str,
    measures: Mapping[str, Any],
) -> dict[str, Any]:
    """``card.json``. Pure; holds neither times nor places, so equal data gives an equal card. ``measures``: ItemKind.sizes."""
    counts = Counter(entry.label for entry in entries)
    stored = list(items)
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
            "pictures": len(stored),
            "bytes": sum(item.size for item in stored),
            "formats": dict(sorted(Counter(item.format for item in stored).items())),
            "reencoded": sum(not item.original for item in stored),
            **measures,
        },
    }


def _tasks(listing: Listing, entries: Sequence[IndexEntry]) -> dict[str, dict[str, int]]:
    """Of each of several tasks, how many items of each class."""
    counts = {task: Counter(entry.tasks.get(task) for entry in entries) for task in listing.tasks}
    return {task: {name: counts[task][name] for name in classes} for task, classes in listing.tasks.items()}
