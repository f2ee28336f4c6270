"""Which files hold the same item: groups of exact and near copies, and what the data card says of them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jobs.data.items import Likeness


def group_copies(likenesses: Sequence[Likeness]) -> dict[str, str]:
    """Content id to the name of its group (the least id in it), for items that have near copies."""
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
    paths: Mapping[str, Sequence[tuple[str, str]]],
    likenesses: Sequence[Likeness],
    groups: Mapping[str, str],
    changes: Sequence[str],
) -> dict[str, Any]:
    """The card's ``duplicates``. ``paths``: content id to the (path, label) of its files, sorted; ``changes``: ItemKind's."""
    pairs: dict[str, list[Likeness]] = defaultdict(list)
    for likeness in likenesses:
        pairs[groups[likeness.a]].append(likeness)
    members: dict[str, list[str]] = defaultdict(list)
    for name, group in groups.items():
        members[group].append(name)
    return {
        "exact": sorted([path for path, _ in files] for files in paths.values() if len(files) > 1),
        "near": sorted(
            (_near(pairs[group], names, paths, changes) for group, names in members.items()), key=lambda g: g["paths"]
        ),
        "conflicting": conflicting(paths, groups),
    }


def conflicting(paths: Mapping[str, Sequence[tuple[str, str]]], groups: Mapping[str, str]) -> list[list[str]]:
    """Paths of copies of one item that have several labels, sorted; "" is none."""
    same: dict[str, list[str]] = defaultdict(list)
    for name in paths:
        same[groups.get(name, name)].append(name)
    found = []
    for names in same.values():
        files = sorted(file for name in names for file in paths[name])
        if len({label for _, label in files if label}) > 1:
            found.append([path for path, _ in files])
    return sorted(found)


def _near(
    pairs: Sequence[Likeness], names: Iterable[str], paths: Mapping[str, Sequence[tuple[str, str]]], changes: Sequence[str]
) -> dict[str, Any]:
    """One group: its files, the greatest change and the least score among its pairs, and the pairs."""
    listed = [{"paths": sorted([paths[p.a][0][0], paths[p.b][0][0]]), "kind": p.kind, "score": p.score} for p in pairs]
    return {
        "paths": sorted(path for name in names for path, _ in paths[name]),
        "kind": max((p.kind for p in pairs), key=changes.index),
        "score": min(p.score for p in pairs),
        "pairs": sorted(listed, key=lambda pair: pair["paths"]),
    }
