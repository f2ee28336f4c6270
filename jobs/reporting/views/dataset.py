"""What the runs learned from and were tested on: counts, samples, files that could not be used, copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.data.index import IndexEntry
from jobs.data.split import Split, split_index
from jobs.reporting.analysis import Analysis
from jobs.reporting.formatting import listing, plural
from jobs.reporting.pictures import Picture, spread, stored_item
from jobs.reporting.pinned import Pinned, left_out
from jobs.reporting.sources import Sources
from tlbatch import nouns

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
    corrections: str = ""
    pinned: str = ""  #: what a schedule pins and how worn it is
    too_like: tuple[tuple[str, str], ...] = ()  #: path and reason
    too_like_more: int = 0
    sources: str = ""  #: what else was learnt from


def build_data(analysis: Analysis, entries: Sequence[IndexEntry]) -> DataView:
    split = study_split(analysis.sources, entries)
    classes = analysis.sources.classes
    parts = [Counter(entry.label for entry in part) for part in (split.train, split.validation, split.test)]
    data = analysis.data
    near = [(str(group.get("kind", "near")), listing([str(path) for path in group["paths"]])) for group in data.near]
    exact = [listing(paths) for paths in data.exact]
    pinned, too_like = Pinned.of(analysis.sources), left_out(split)
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
        redrawn=_redraw(analysis.sources) is not None,
        pinned=pinned.words if pinned else "",
        too_like=tuple(too_like[:MOST_LISTED]),
        too_like_more=max(0, len(too_like) - MOST_LISTED),
        corrections=_corrections(analysis.sources.params.corrections),
        sources=_sources(analysis.sources),
    )


def _corrections(applied: Mapping[str, int]) -> str:
    """What people changed of the dataset's own labels; "" where nothing."""
    changed, out = applied.get("corrected", 0), applied.get("left_out", 0)
    said = [f"{plural(changed, 'label')} corrected"] if changed else []
    said += [f"{nouns.count(out)} left out"] if out else []
    return f"By hand (tlbatch data relabel): {' and '.join(said)}." if said else ""


def _sources(sources: Sources) -> str:
    """What else runs may learn from; "" where nothing."""
    said = []
    for name, facts in sources.learnt_from.items():
        bad = f" ({plural(facts['bad'], 'file')} could not be used)" if facts["bad"] else ""
        shared = f", {facts['shared']:,} of them (near) copies of the target's" if facts.get("shared") else ""
        what = f"{nouns.count(facts['images'])} of {plural(len(facts['classes']), 'class', 'classes')}"
        said.append(f"{name}, {what}{shared}{bad}")
    end = (
        f"nothing is judged on them, and none of their {nouns.contents()} that the target holds back, or near copies of such, "
        "trains"
    )
    return f"Sources, from which runs may learn, too: {'; '.join(said)}; {end}." if said else ""


def study_split(sources: Sources, entries: Sequence[IndexEntry]) -> Split:
    """The split that every task of the study computed; of the first redraw where training images are redrawn."""
    pinned = Pinned.of(sources)
    return split_index(entries, sources.params.division, seed_redraw=_redraw(sources), pins=pinned.pins if pinned else None)


def _redraw(sources: Sources) -> int | None:
    redraws = (run.card.get("redraw") for run in sources.runs)
    return next((int(redraw) for redraw in redraws if redraw is not None), None)


def _pictures(analysis: Analysis, entries: Sequence[IndexEntry]) -> list[Picture]:
    shown = spread(entries, analysis.sources.classes, SAMPLES)
    sources = analysis.sources
    return [Picture(stored_item(sources.dataset, e, sources.kind), f"{e.path}: {e.label}", e.label) for e in shown]
