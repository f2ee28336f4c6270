"""Images that must stay together, and drawing such units into bins of given sizes. Pure, and free of numpy."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.data.index import IndexEntry, by_content
from tlbatch import nouns

Quota = dict[str, int]  #: images still wanted, by class


@dataclass(frozen=True)
class Unit:
    """Images that go to one part together: one, or all that are copies of each other or of one group."""

    entries: tuple[IndexEntry, ...]

    @property
    def counts(self) -> Counter[str]:
        return Counter(entry.label for entry in self.entries)

    def rank(self, key: str) -> int:
        """A uniform number below 2^64 from ``key`` and the unit's first content hash: its place in a draw."""
        return int.from_bytes(hashlib.sha256(f"{key}:{self.entries[0].id}".encode()).digest()[:8], "big")


def units_of(entries: Sequence[IndexEntry]) -> list[Unit]:
    """The entries joined by equal content, duplicate group or group, each unit and the list sorted by content."""
    parent = list(range(len(entries)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, entry in enumerate(entries):
        for kind, name in (("id", entry.id), ("dup", entry.dup), ("group", entry.group)):
            if name is not None:
                parent[root(i)] = root(first.setdefault((kind, name), i))
    members: dict[int, list[IndexEntry]] = {}
    for i, entry in enumerate(entries):
        members.setdefault(root(i), []).append(entry)
    units = [Unit(tuple(sorted(group, key=by_content))) for group in members.values()]
    return sorted(units, key=lambda unit: by_content(unit.entries[0]))


def unit_names(entries: Sequence[IndexEntry]) -> list[str]:
    """For each entry a name that its unit shares: its copies, and the items of its group."""
    names = {id(entry): unit.entries[0].id for unit in units_of(entries) for entry in unit.entries}
    return [names[id(entry)] for entry in entries]


def draw(units: Sequence[Unit], quotas: Mapping[str, Quota], rest: str, key: str) -> dict[str, list[Unit]]:
    """Units into bins: as many images of each class in each bin as its quota says, all others into ``rest``.

    Units of several images come first, each into a bin chosen by its rank, weighted with the room left where it fits;
    where it fits nowhere, into the bin with most room. Single images then fill the bins by rank within their class, so
    that quotas are met exactly unless the units of several images make that impossible.
    """
    room = {name: dict(quota) for name, quota in quotas.items()}
    available = Counter(entry.label for unit in units for entry in unit.entries)
    for quota in quotas.values():
        available.subtract(quota)
    room[rest] = {label: max(count, 0) for label, count in available.items()}
    bins: dict[str, list[Unit]] = {name: [] for name in room}
    ranked = sorted(units, key=lambda unit: (len(unit.entries) == 1, unit.rank(key), unit.entries[0].id))
    for unit in ranked:
        counts = unit.counts
        if len(unit.entries) == 1:
            name = next((name for name, left in room.items() if left.get(unit.entries[0].label, 0) > 0), rest)
        else:
            name = _bin_for(counts, room, unit.rank(key) / 2**64)
        bins[name].append(unit)
        for label, count in counts.items():
            room[name][label] = room[name].get(label, 0) - count
    return bins


def _bin_for(counts: Mapping[str, int], room: Mapping[str, Quota], chance: float) -> str:
    """The bin of a unit of several images. ``chance`` is uniform in [0, 1)."""
    left = {name: sum(max(quota.get(label, 0), 0) for label in counts) for name, quota in room.items()}
    fits = [name for name, quota in room.items() if all(quota.get(label, 0) >= count for label, count in counts.items())]
    if not fits:
        return max(left, key=lambda name: left[name])
    mark = chance * sum(left[name] for name in fits)
    for name in fits:
        mark -= left[name]
        if mark < 0:
            return name
    return fits[-1]


def apportion(total: int, sizes: Mapping[str, int], *, leave: int = 0) -> Quota:
    """``total`` shared among classes in proportion to their sizes (largest remainder).

    Where ``total`` suffices, every class with more than ``leave`` images gets one at least. Raises ValueError where the
    classes have fewer than ``total`` images.
    """
    whole = sum(sizes.values())
    if not 0 <= total <= whole:
        raise ValueError(f"{total} of {whole} {nouns.items()}")
    exact = {label: total * size / whole if whole else 0.0 for label, size in sizes.items()}
    shares = {label: min(int(value), sizes[label]) for label, value in exact.items()}
    left = total - sum(shares.values())
    for label in sorted(sizes, key=lambda label: (shares[label] > 0, shares[label] - exact[label], label)):
        if left and shares[label] < sizes[label]:
            shares[label] += 1
            left -= 1
    empty = [label for label in sizes if shares[label] == 0 and sizes[label] > leave]
    for label in empty if total >= len(sizes) else []:
        shares[max(shares, key=lambda other: shares[other])] -= 1
        shares[label] = 1
    return shares
