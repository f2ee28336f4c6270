"""What a listing has and what was left out of it, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from tlbatch import nouns
from tlbatch.datasets.listing import Listing
from tlbatch.datasets.walk import SHOWN, examples


def listing_facts(listing: Listing) -> dict[str, Any]:
    """Counts of a listing. ``empty_files`` have no bytes; ``unusable`` are known not to be readable, or not to exist."""
    counts, tasks = Counter(listing.files.column("label")), _task_counts(listing)
    return {
        "files": len(listing.files),
        "bytes": sum(listing.files.column("size")),
        "classes": {label: counts[label] for label in listing.classes},
        **({"tasks": {task: {label: tasks[task][label] for label in listing.tasks[task]} for task in tasks}} if tasks else {}),
        "empty_classes": list(listing.empty_classes),
        "unlabelled": listing.unlabelled,
        "empty_files": len(_empty(listing)),
        "unusable": [{"path": path, "reason": problem} for path, problem in _unusable(listing)],
        "left_out": [asdict(left) for left in listing.passed_over],
        "inner_parts": list(listing.inner_parts),
    }


def listing_lines(listing: Listing) -> Iterator[str]:
    """What to know of a listing beside its classes: what cannot be used, what is empty, what was left out; how many labels each
    of several tasks has. Mostly nothing."""
    counts = _task_counts(listing)
    for task, classes in listing.tasks.items():
        known = counts[task].total() - counts[task][None]
        yield f"task {task}: {known:,} of {len(listing.files):,} files have its label, of {len(classes)} classes"
    if unusable := _unusable(listing):
        some = "; ".join(f"{path}: {problem}" for path, problem in unusable[:SHOWN])
        more = f"; and {len(unusable) - SHOWN} more" if len(unusable) > SHOWN else ""
        yield f"cannot be used: {len(unusable)} ({some}{more})"
    if empty := _empty(listing):
        yield f"empty files: {len(empty)} ({examples(empty[:SHOWN], len(empty))})"
    if listing.empty_classes:
        named = examples(listing.empty_classes[:SHOWN], len(listing.empty_classes))
        yield f"without {nouns.items()}, and so no class: {len(listing.empty_classes)} ({named})"
    for left in listing.passed_over:
        yield f"left out: {left}"
    if listing.inner_parts:
        named = examples(listing.inner_parts[:SHOWN], len(listing.inner_parts))
        yield (
            f"not used as parts: {named}; {nouns.items()} are divided anew (a CSV file may say each "
            f"{nouns.item()}'s part: dataset.labels.split)"
        )


def _task_counts(listing: Listing) -> dict[str, Counter[str | None]]:
    """Of each of several tasks how many files have each label, and how many (None) have none."""
    return {task: Counter(said.get(task) for said in listing.files.column("tasks")) for task in listing.tasks}


def _unusable(listing: Listing) -> list[tuple[str, str]]:
    """Paths with why they cannot be used."""
    return [(path, problem) for path, problem in listing.files.columns("path", "problem") if problem]


def _empty(listing: Listing) -> list[str]:
    """Paths of files without a byte."""
    return [path for path, size, problem in listing.files.columns("path", "size", "problem") if not size and not problem]
