"""Which items an episode has: some classes, a few labelled items of each, others to judge by. Pure.

All is by sha256 of the seed, the episode's number, and names and content, so that neither the order of the items nor which
shots and heads are asked for changes an episode. Items are drawn by units: copies of a picture, and items of a group, are
never on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from jobs.data.index import IndexEntry
from jobs.data.split_groups import Unit, units_of
from tlbatch import nouns
from tlbatch.errors import DataError


@dataclass(frozen=True)
class Pool:
    """``units`` of each held-out class, each of that class alone; ``left_out``: items that share a unit with another class."""

    units: Mapping[str, Sequence[Unit]]
    left_out: int


@dataclass(frozen=True)
class Episode:
    """``classes`` in the order of their labels; ``support`` and ``query``: of each class its items."""

    classes: tuple[str, ...]
    support: tuple[tuple[IndexEntry, ...], ...]
    query: tuple[tuple[IndexEntry, ...], ...]


def pool_of(entries: Sequence[IndexEntry], classes: Sequence[str]) -> Pool:
    """Of all the dataset's entries those of the held-out ``classes``, but for (near) copies of items of other classes."""
    found: dict[str, list[Unit]] = {name: [] for name in classes}
    left_out = 0
    for unit in units_of(entries):
        labels = {entry.label for entry in unit.entries}
        if len(labels) == 1 and (name := next(iter(labels))) in found:
            found[name].append(unit)
        elif len(labels) > 1:
            left_out += sum(entry.label in found for entry in unit.entries)
    return Pool(found, left_out)


def check_pool(pool: Pool, shots: int, queries: int) -> None:
    """Raises DataError where a class has too few items."""
    short = sorted((len(units), name) for name, units in pool.units.items() if len(units) < shots + queries)
    if short:
        some = ", ".join(f"{name} has {count}" for count, name in short[:5])
        raise DataError(
            f"evaluate.episodes: each held-out class needs {shots} labelled {nouns.items()} and {queries} to judge by, copies "
            f"and groups counted once, and {some}: ask for fewer queries or shots, or hold out other classes"
        )


def draw_episode(pool: Pool, number: int, ways: int, shots: int, queries: int, seed: int) -> Episode:
    """The ``number``-th; it has ``shots`` labelled items a class, of which fewer are the first."""
    key = f"{seed}:episode:{number}"
    ranked = sorted(pool.units, key=lambda name: (sha256(f"{key}:{name}".encode()).digest(), name))
    support, query = [], []
    for name in ranked[:ways]:
        units = sorted(pool.units[name], key=lambda unit: (unit.rank(key), unit.entries[0].id))[: queries + shots]
        items = [unit.entries[unit.rank(f"{key}:item") % len(unit.entries)] for unit in units]
        query.append(tuple(items[:queries]))
        support.append(tuple(items[queries:]))
    return Episode(tuple(ranked[:ways]), tuple(support), tuple(query))
