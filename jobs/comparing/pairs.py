"""Runs of two executions on the test images that both met: paired differences, Holm-adjusted as one family."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jobs.comparing.sides import Side
from jobs.reporting.contrasts import Contrast, compared_seeds
from jobs.reporting.sources import RunSource
from jobs.statistics.differences import as_family, paired_difference
from jobs.statistics.macro_f1 import F1Difference, f1_difference
from jobs.statistics.units import Ints

FEWEST = 10  #: common test images below which nothing is tested
BEST, NAMESAKE = "best", "same name"
UNKNOWN = F1Difference(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class Common:
    """Test images that both runs met with the same label: their rows in either's predictions.

    ``relabelled`` are in both test sets with different labels: nobody can say whose answer is right, so they are left out.
    """

    rows_a: Ints
    rows_b: Ints
    only_a: int
    only_b: int
    relabelled: int

    @property
    def images(self) -> int:
        return len(self.rows_a)

    @property
    def whole(self) -> bool:
        """Whether both test sets consist of just these."""
        return not (self.only_a or self.only_b or self.relabelled)


@dataclass(frozen=True)
class Pair:
    """A run of a later execution (``a`` of the contrast) against one of the first. No contrast: too few common images.

    ``right_a``, ``right_b``: shares of the common images that each classified right, means over the seeds compared.
    """

    a: RunSource
    b: RunSource
    kinds: tuple[str, ...]
    common: Common
    contrast: Contrast | None = None
    right_a: float = float("nan")
    right_b: float = float("nan")

    @property
    def same(self) -> bool:
        """Whether both are one and the same evaluation."""
        return self.a.evaluate.digest == self.b.evaluate.digest


def compare_sides(first: Side, others: Sequence[Side]) -> list[Pair]:
    """Of each other execution against the first one: the best runs, and runs of the same name. One family for Holm."""
    pairs = [with_test(pair) for other in others for pair in _pairs(first, other)]
    tested = [pair.contrast for pair in pairs if pair.contrast]
    family = iter(as_family([contrast.accuracy for contrast in tested]))
    return [replace(pair, contrast=replace(pair.contrast, accuracy=next(family))) if pair.contrast else pair for pair in pairs]


def _pairs(first: Side, other: Side) -> list[Pair]:
    kinds: dict[tuple[str, str], list[str]] = {}
    if first.best and other.best:
        kinds[other.own_name(other.best), first.own_name(first.best)] = [BEST]
    names = {first.own_name(run) for run in first.sources.asked_for}
    for run in other.sources.asked_for:
        if (name := other.own_name(run)) in names:
            kinds.setdefault((name, name), []).append(NAMESAKE)
    found = []
    for (name_a, name_b), why in kinds.items():
        a, b = other.sources.run(f"{name_a} ({other.letter})"), first.sources.run(f"{name_b} ({first.letter})")
        assert a is not None
        assert b is not None
        found.append(Pair(a, b, tuple(why), common_images(a, b)))
    return found


def common_images(a: RunSource, b: RunSource) -> Common:
    """Match by content; files of one picture in the order of their paths."""
    places_a, places_b = _places(a), _places(b)
    classes_a, classes_b = _classes(a), _classes(b)
    rows: list[tuple[int, int]] = []
    only_a, only_b, relabelled = 0, 0, 0
    for picture in {**places_a, **places_b}:
        mine, theirs = places_a.get(picture, []), places_b.get(picture, [])
        only_a += max(0, len(mine) - len(theirs))
        only_b += max(0, len(theirs) - len(mine))
        for row_a, row_b in zip(mine, theirs, strict=False):
            if classes_a[a.labels[row_a]] == classes_b[b.labels[row_b]]:
                rows.append((row_a, row_b))
            else:
                relabelled += 1
    ordered = np.array(sorted(rows), dtype=np.int64).reshape(-1, 2)
    return Common(ordered[:, 0], ordered[:, 1], only_a, only_b, relabelled)


def with_test(pair: Pair) -> Pair:
    """The pair with its contrast, not yet adjusted; as it is where there is nothing to test."""
    if pair.same or pair.common.images < FEWEST:
        return pair
    a, b, common = pair.a, pair.b, pair.common
    classes = sorted({*_classes(a), *_classes(b)})
    labels = _renamed(a.labels[common.rows_a], _classes(a), classes)
    predicted_a, predicted_b = _predicted(a, b, common.rows_a, classes), _predicted(b, a, common.rows_b, classes)
    if len(predicted_a) != len(predicted_b):
        predicted_a, predicted_b = np.broadcast_arrays(predicted_a, predicted_b)
    groups = joined_groups(_groups(a, common.rows_a), _groups(b, common.rows_b))
    right_a, right_b = predicted_a == labels, predicted_b == labels
    accuracy = paired_difference(right_a, right_b, groups)
    alike = set(_classes(a)) == set(_classes(b))
    f1 = f1_difference(labels, predicted_a, predicted_b, groups, len(classes)) if alike else UNKNOWN
    contrast = Contrast(a, b, pair.kinds, accuracy, f1)
    return replace(pair, contrast=contrast, right_a=float(right_a.mean()), right_b=float(right_b.mean()))


def _predicted(run: RunSource, other: RunSource, rows: Ints, classes: Sequence[str]) -> Ints:
    """[seeds, images] classes that the run said, of the seeds to compare."""
    seeds = compared_seeds(run, other)
    return np.stack([_renamed(run.probabilities(seed)[rows].argmax(axis=1), _classes(run), classes) for seed in seeds])


def _renamed(indices: NDArray[np.int64], own: Sequence[str], classes: Sequence[str]) -> Ints:
    place = np.array([classes.index(name) for name in own], dtype=np.int64)
    renamed: Ints = place[indices]
    return renamed


def joined_groups(groups_a: Sequence[str], groups_b: Sequence[str]) -> list[str]:
    """Images that either execution holds for copies of one another (or of one burst) are one group. Names by first member."""
    parent = list(range(len(groups_a)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for groups in (groups_a, groups_b):
        firsts: dict[str, int] = {}
        for place, group in enumerate(groups):
            low, high = sorted((root(place), root(firsts.setdefault(group, place))))
            parent[high] = low
    return [str(root(place)) for place in range(len(groups_a))]


def _groups(run: RunSource, rows: Ints) -> list[str]:
    groups = run.groups
    return [groups[row] for row in rows]


def _places(run: RunSource) -> dict[str, list[int]]:
    ids = run.predictions["ids"]
    paths = run.predictions.get("paths") or ids
    found: dict[str, list[int]] = defaultdict(list)
    for row in sorted(range(len(ids)), key=lambda row: (ids[row], paths[row])):
        found[ids[row]].append(row)
    return found


def _classes(run: RunSource) -> list[str]:
    return [str(name) for name in run.predictions["classes"]]
