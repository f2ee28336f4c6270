"""Folds for choosing on the training images: stratified, copies of a picture and images of a group in one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def can_fold(labels: Ints, groups: Sequence[str] | None = None) -> bool:
    """Whether any class has images in two folds. Else no held-out image is of a class that was learnt: nothing is told."""
    names = range(len(labels)) if groups is None else groups
    return len(set(zip(labels.tolist(), names, strict=True))) > len(np.unique(labels))


def folds_of(labels: Ints, folds: int, seed: int, groups: Sequence[str] | None) -> list[Ints]:
    """Disjoint index sets, stratified as far as groups allow: in seeded order, each goes to the fold short of its class."""
    names = np.asarray(groups if groups is not None else np.arange(len(labels)).astype(str))
    members: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        members.setdefault(str(name), []).append(index)
    order = sorted(members)
    np.random.default_rng(seed).shuffle(order)
    order.sort(key=lambda name: -len(members[name]))
    parts: list[list[int]] = [[] for _ in range(folds)]
    counts = np.zeros((folds, int(labels.max()) + 1))
    for name in order:
        label = int(labels[members[name][0]])
        fold = min(range(folds), key=lambda f: (counts[f, label], len(parts[f]), f))
        parts[fold] += members[name]
        counts[fold, label] += len(members[name])
    return [np.array(sorted(part), dtype=np.int64) for part in parts if part]
