"""What the runs learned from and were tested on: counts, samples, files that could not be used, copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.data.index import IndexEntry
from jobs.data.pins import PINNED, load_pins
from jobs.data.split import Split, split_index
from jobs.reporting.analysis import Analysis
from jobs.reporting.pictures import Picture, spread, stored_thumbnail
from jobs.reporting.words import listing

SAMPLES = 14
MOST_LISTED = 40


@dataclass(frozen=True)
class DataView:
    """``counts``: (class, train, validation, test); lists are cut to a readable length, ``*_more`` says by how many."""

    counts: tuple[tuple[str, int, int, int], ...]
    totals: tuple[int, int, int]
    train: tuple[Picture, ...]
    test: tuple[Picture, ...]
    bad: tuple[tuple[str, str], ...]
    bad_more: int
    near: tuple[tuple[str, str], ...]  #: kind, paths
    near_more: int
    exact: tuple[str, ...]
    exact_more: int
    conflicting: tuple[str, ...]
    method: str
    left_out: int
    redrawn: bool


def build_data(analysis: Analysis, entries: Sequence[IndexEntry]) -> DataView:
    split = study_split(analysis, entries)
    classes = analysis.sources.classes
    parts = [Counter(entry.label for entry in part) for part in (split.train, split.validation, split.test)]
    data = analysis.data
    near = [(str(group.get("kind", "near")), listing([str(path) for path in group["paths"]])) for group in data.near]
    exact = [listing(paths) for paths in data.exact]
    bad = [(str(file.get("path", "")), str(file.get("reason", ""))) for file in data.bad]
    return DataView(
        counts=tuple((name, parts[0][name], parts[1][name], parts[2][name]) for name in classes),
        totals=(len(split.train), len(split.validation), len(split.test)),
        train=tuple(_pictures(analysis, split.train)),
        test=tuple(_pictures(analysis, split.test)),
        bad=tuple(bad[:MOST_LISTED]),
        bad_more=max(0, len(bad) - MOST_LISTED),
        near=tuple(near[:MOST_LISTED]),
        near_more=max(0, len(near) - MOST_LISTED),
        exact=tuple(exact[:MOST_LISTED]),
        exact_more=max(0, len(exact) - MOST_LISTED),
        conflicting=tuple(listing(paths) for paths in data.conflicting[:MOST_LISTED]),
        method=data.method,
        left_out=len(split.left_out),
        redrawn=_redraw(analysis) is not None,
    )


def study_split(analysis: Analysis, entries: Sequence[IndexEntry]) -> Split:
    """The split that every task of the study computed; of the first redraw where training images are redrawn."""
    params: Mapping[str, Any] = analysis.sources.params
    artifact = analysis.sources.artifacts.get(PINNED)
    pins = load_pins(artifact) if artifact is not None else None
    return split_index(entries, {**params["split"], "classes": params["classes"]}, seed_redraw=_redraw(analysis), pins=pins)


def _redraw(analysis: Analysis) -> int | None:
    redraws = (run.card.get("redraw") for run in analysis.sources.runs)
    return next((int(redraw) for redraw in redraws if redraw is not None), None)


def _pictures(analysis: Analysis, entries: Sequence[IndexEntry]) -> list[Picture]:
    shown = spread(entries, analysis.sources.classes, SAMPLES)
    return [Picture(stored_thumbnail(analysis.sources.dataset, e), f"{e.path}: {e.label}", e.label) for e in shown]
