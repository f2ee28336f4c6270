"""Which files show the same picture: groups of exact and near copies, and what the data card says of them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.data.near_duplicates import Pair
from jobs.data.shards import SpooledPicture

KINDS = ("recompressed", "scaled", "cropped", "mirrored", "rotated")  # from the least change to the most
CROPPED = 0.015  # share cut off a side, from which a copy counts as cropped
SCALED = 0.02  # difference of the widths, from which it counts as scaled


@dataclass(frozen=True)
class Likeness:
    """Two distinct pictures that are near copies, by content id."""

    a: str
    b: str
    kind: str
    score: float


def likenesses(pairs: Iterable[Pair], pictures: Iterable[SpooledPicture]) -> list[Likeness]:
    """Pairs by thumbnail number as pairs of pictures, with the kind of change."""
    by_number = {picture.thumbnail: picture for picture in pictures if picture.thumbnail is not None}
    found = []
    for pair in pairs:
        one, other = sorted((by_number[pair.a], by_number[pair.b]), key=lambda picture: picture.id)
        found.append(Likeness(one.id, other.id, _kind(pair, one, other), pair.score))
    return sorted(found, key=lambda likeness: (likeness.a, likeness.b))


def _kind(pair: Pair, one: SpooledPicture, other: SpooledPicture) -> str:
    if pair.turn:
        return pair.turn
    if pair.cut > CROPPED:
        return "cropped"
    widths = sorted((one.source_width, other.source_width))
    return "scaled" if widths[1] > widths[0] * (1 + SCALED) else "recompressed"


def group_copies(likenesses: Sequence[Likeness]) -> dict[str, str]:
    """Content id to the name of its group (the least id in it), for pictures that have near copies."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for likeness in likenesses:
        one, other = root(likeness.a), root(likeness.b)
        parent[max(one, other)] = min(one, other)
    return {name: root(name) for name in sorted(parent)}


def duplicates_card(
    paths: Mapping[str, Sequence[tuple[str, str]]], likenesses: Sequence[Likeness], groups: Mapping[str, str]
) -> dict[str, Any]:
    """The card's ``duplicates``. ``paths``: content id to the (path, label) of its files, sorted."""
    pairs: dict[str, list[Likeness]] = defaultdict(list)
    for likeness in likenesses:
        pairs[groups[likeness.a]].append(likeness)
    members: dict[str, list[str]] = defaultdict(list)
    for name, group in groups.items():
        members[group].append(name)
    same = {name: [name] for name in paths if name not in groups} | members
    conflicting = []
    for names in same.values():
        files = sorted(file for name in names for file in paths[name])
        if len({label for _, label in files}) > 1:
            conflicting.append([path for path, _ in files])
    return {
        "exact": sorted([path for path, _ in files] for files in paths.values() if len(files) > 1),
        "near": sorted((_near(pairs[group], names, paths) for group, names in members.items()), key=lambda g: g["paths"]),
        "conflicting": sorted(conflicting),
    }


def _near(pairs: Sequence[Likeness], names: Iterable[str], paths: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, Any]:
    """One group: its files, the greatest change and the least score among its pairs, and the pairs."""
    listed = [{"paths": sorted([paths[p.a][0][0], paths[p.b][0][0]]), "kind": p.kind, "score": p.score} for p in pairs]
    return {
        "paths": sorted(path for name in names for path, _ in paths[name]),
        "kind": max((p.kind for p in pairs), key=KINDS.index),
        "score": min(p.score for p in pairs),
        "pairs": sorted(listed, key=lambda pair: pair["paths"]),
    }
