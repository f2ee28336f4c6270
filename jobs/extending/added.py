"""The items of the new class: those that are usable, which of them are one unit, and that none is judged by already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.context import Context
from jobs.data.index import IndexEntry, load_index
from jobs.data.overlaps import OVERLAP_FILE, held_back_of
from jobs.data.pins import pins_of
from jobs.data.split import Split, split_index
from jobs.data.split_groups import unit_names
from tlbatch import nouns
from tlbatch.contracts.models import ExtendParams
from tlbatch.errors import DataError
from tlbatch.roles import DATASET, SOURCE, TARGET, overlap_input

ADDED = "added"
NAMED = 5


@dataclass(frozen=True)
class Added:
    """``entries``: one a content; ``units`` [k]: names, equal for near copies of one another."""

    entries: tuple[IndexEntry, ...]
    units: list[str]

    @property
    def count(self) -> int:
        """How many units."""
        return len(set(self.units))


def load_added(context: Context) -> Added:
    """Equal content counts once."""
    first = {entry.id: entry for entry in reversed(load_index(context.input(ADDED)))}
    entries = tuple(first[id_] for id_ in sorted(first))
    return Added(entries, unit_names(entries))


def divide(context: Context, params: ExtendParams) -> Split:
    """The dataset as the model's evaluation divides it."""
    return split_index(load_index(context.input(DATASET)), params.division, pins=pins_of(context))


def check_apart(context: Context, added: Added, split: Split) -> None:
    """Raises DataError where an item is, or nearly is, one that the model is judged or chosen by."""
    held = {entry.id for entry in (*split.test, *split.validation, *split.fresh)}
    shown = held & {entry.id for entry in added.entries}
    if (role := overlap_input(ADDED)) in context.task.inputs:
        shown |= held_back_of(context.input(role).read_json(OVERLAP_FILE), held)
    paths = [entry.path for entry in added.entries if entry.id in shown]
    if paths:
        raise DataError(
            f"{_some(paths)}: (near copies of) {nouns.items()} that the champion is judged by under another class; take them "
            f"out, or correct their labels in the dataset (`tlbatch data relabel`)"
        )


def trained_copies(context: Context, added: Added, split: Split) -> list[dict[str, str]]:
    """Items that are, or nearly are, training items of another class: ``path``, and the ``class`` that they trained."""
    of_id: dict[str, set[str]] = {}
    for entry in split.train:
        of_id.setdefault(entry.id, set()).add(entry.label)
    if (role := overlap_input(ADDED)) in context.task.inputs:
        for group in context.input(role).read_json(OVERLAP_FILE)["groups"]:
            labels = set[str]().union(*(of_id.get(id_, set()) for id_ in group[TARGET]))
            for id_ in group[SOURCE]:
                of_id.setdefault(id_, set()).update(labels)
    return [
        {"path": entry.path, "class": label} for entry in added.entries for label in sorted(of_id.get(entry.id, ())) if label
    ]


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:NAMED]) + (f" and {len(paths) - NAMED} more" if len(paths) > NAMED else "")
