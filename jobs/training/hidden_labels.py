"""Labels that a strategy may not read are taken off before it is handed anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jobs.data.index import IndexEntry
from jobs.randomness import seed_of

HIDDEN = ""
"""In place of a label. No class is called so."""


def hide_labels(entries: Sequence[IndexEntry], shown: int, seed: int) -> tuple[IndexEntry, ...]:
    """The same entries, of which ``shown`` a class keep their label: a draw by the seed and their content alone.

    The others lose their path, too, which is often a folder that is called like the class.
    """
    kept: set[tuple[str, str]] = set()
    if shown:
        by_class: dict[str, list[IndexEntry]] = {}
        for entry in sorted(entries, key=lambda entry: (seed_of(seed, "labels", entry.id), entry.path)):
            by_class.setdefault(entry.label, []).append(entry)
        kept = {(entry.id, entry.path) for found in by_class.values() for entry in found[:shown]}
    return tuple(each if (each.id, each.path) in kept else replace(each, label=HIDDEN, path=each.id) for each in entries)
