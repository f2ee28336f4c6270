"""The rows of features an extraction is asked for: one an image, and one for each augmented view of a training image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from jobs.data.index import IndexEntry
from jobs.data.pins import Pins
from jobs.data.row_store import row_name
from jobs.data.split import Split, split_index
from jobs.kinds import items_of, vary
from jobs.randomness import generator
from tlbatch.contracts.models import Redrawn, Views


@dataclass(frozen=True)
class Wanted:
    """Features of an item as it is (``view`` None), or of one of its augmented views.

    ``note``: what else they depend on: equal content may be stored in other bytes (prepare's ``stored_size``, format).
    """

    entry: IndexEntry
    view: int | None = None
    note: str = ""

    @property
    def name(self) -> str:
        return row_name(self.entry.id, self.view)

    @property
    def place(self) -> tuple[str, int, int | None]:
        """Where its item lies, and which view of it it is."""
        return self.entry.shard, self.entry.offset, self.view

    def shard(self, count: int) -> int:
        """Which of ``count`` shards computes it: by content, so that a shard's images lie together."""
        return int(self.entry.id[:8], 16) * count >> 32


def wanted_rows(
    entries: Sequence[IndexEntry],
    views: Views | None,
    pins: Pins | None = None,
    kind: str | None = None,
    divided: Redrawn | None = None,
) -> list[Wanted]:
    """All rows, sorted by content id and view; of files with the same content, the first is computed. Pure.

    With ``divided`` only of what trains, validates or tests in any of its redraws. Raises DataError where the images cannot be
    divided: those that ``divided`` asks for, or the training images whose ``views`` are.
    """
    used = None if divided is None else divided_ids(entries, divided, pins)
    distinct = {entry.id: entry for entry in reversed(entries) if used is None or entry.id in used}
    viewed, count = training_ids(entries, views, pins), views.count if views else 0
    rows, items = [], items_of(kind)
    for image_id in sorted(distinct):
        entry = distinct[image_id]
        note = f"{items.note(entry.facts)} {entry.format} {entry.size}"
        rows.append(Wanted(entry, None, note))
        rows += [Wanted(entry, number, note) for number in range(count) if image_id in viewed]
    return rows


def training_ids(entries: Sequence[IndexEntry], views: Views | None, pins: Pins | None = None) -> set[str]:
    """Content ids of the images that train in any of the study's redraws."""
    return {entry.id for each in _splits(entries, views, pins) for entry in each.train} if views else set()


def divided_ids(entries: Sequence[IndexEntry], divided: Redrawn, pins: Pins | None = None) -> set[str]:
    """Content ids of the images of all parts, in any of the redraws."""
    splits = _splits(entries, divided, pins)
    return {entry.id for each in splits for part in (each.train, each.validation, each.test, each.fresh) for entry in part}


def _splits(entries: Sequence[IndexEntry], divided: Redrawn, pins: Pins | None) -> list[Split]:
    return [split_index(entries, divided.division, seed_redraw=each, pins=pins) for each in dict.fromkeys(divided.redraws)]


def row_item(wanted: Wanted, item: Tensor, settings: Mapping[str, Any], augmentation: Mapping[str, Any] | None) -> Tensor:
    """What a row is made of: the item as its kind loads it, which stays as it is, or a view of it.

    A view's changes are drawn from the item's content id and the view's number alone.
    """
    if wanted.view is None:
        return item
    chance = generator("view", wanted.entry.id, wanted.view)
    return vary(settings, item.clone().unsqueeze(0), augmentation or {}, chance).squeeze(0)
