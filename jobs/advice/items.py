"""The images that advice is given by: those that train and validate, by content; no test image, and not its label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.data.index import IndexEntry, by_content
from jobs.data.pins import Pins
from jobs.data.split import split_index
from jobs.data.split_groups import Unit, apportion, draw, units_of
from tlbatch.contracts.advice import ProbeParams
from tlbatch.store.artifacts import Artifact

ITEMS = "items.json"
CHOSEN, LEFT = "chosen", "left"

Chosen = tuple[IndexEntry, str, str]
"""An image with its part (train, validation) and the name of its unit."""


@dataclass(frozen=True)
class Item:
    """One image of a probe. ``unit``: alike for copies of a picture and images of a group."""

    id: str
    label: str
    unit: str
    part: str


def chosen_items(index: Iterable[IndexEntry], params: ProbeParams, pins: Pins | None = None) -> list[Chosen]:
    """Training and validation images, sorted by content; at most ``params.images``, stratified, units whole. Pure.

    With a schedule's ``pins`` these say which images validate; those that test, or judge before they train, are no part of it.
    """
    split = split_index(index, params.division, pins=pins)
    part = {**{_key(entry): "train" for entry in split.train}, **{_key(entry): "validation" for entry in split.validation}}
    entries = sorted((*split.train, *split.validation), key=by_content)
    units = units_of(entries)
    if params.images is not None and params.images < len(entries):
        units = _sample(units, params.images, str(params.split.seed))
    chosen = [(entry, part[_key(entry)], unit.entries[0].id) for unit in units for entry in unit.entries]
    return sorted(chosen, key=lambda each: by_content(each[0]))


def _sample(units: Sequence[Unit], count: int, seed: str) -> list[Unit]:
    """Units with ``count`` images, the same share of every class, by the rank of sha256(seed, content)."""
    sizes = Counter(entry.label for unit in units for entry in unit.entries)
    return draw(units, {CHOSEN: apportion(count, sizes)}, LEFT, f"{seed}:advise")[CHOSEN]


def _key(entry: IndexEntry) -> tuple[str, str]:
    return entry.id, entry.path


def items_document(chosen: Iterable[Chosen], whole: int) -> dict[str, Any]:
    """``items.json``."""
    rows = [{"id": entry.id, "label": entry.label, "unit": unit, "part": part} for entry, part, unit in chosen]
    return {"whole": whole, "items": rows}


def load_items(artifact: Artifact) -> tuple[list[Item], int]:
    """The images of a probe, and how many the whole dataset has."""
    document = artifact.read_json(ITEMS)
    return [Item(each["id"], each["label"], each["unit"], each["part"]) for each in document["items"]], int(document["whole"])
