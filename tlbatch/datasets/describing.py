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
    counts = Counter(file.label for file in listing.files)
    tasks = {task: Counter(file.tasks.get(task) for file in listing.files) for task in listing.tasks}
    return {
        "files": len(listing.files),
        "bytes": sum(file.size for file in listing.files),
        "classes": {label: counts[label] for label in listing.classes},
        **({"tasks": {task: {label: tasks[task][label] for label in listing.tasks[task]} for task in tasks}} if tasks else {}),
        "empty_classes": list(listing.empty_classes),
        "unlabelled": listing.unlabelled,
        "empty_files": sum(1 for file in listing.files if not file.size and not file.problem),
        "unusable": [{"path": file.path, "reason": file.problem} for file in listing.files if file.problem],
        "left_out": [asdict(left) for left in listing.passed_over],
        "inner_parts": list(listing.inner_parts),
    }


def listing_lines(listing: Listing) -> Iterator[str]:
    """What to know of a listing beside its classes: what cannot be used, what is empty, what was left out; how many labels each
    of several tasks has. Mostly nothing."""
    for task, classes in listing.tasks.items():
        known = sum(task in file.tasks for file in listing.files)
        yield f"task {task}: {known:,} of {len(listing.files):,} files have its label, of {len(classes)} classes"
    unusable = [file for file in listing.files if file.problem]
    if unusable:
        some = "; ".join(f"{file.path}: {file.problem}" for file in unusable[:SHOWN])
        more = f"; and {len(unusable) - SHOWN} more" if len(unusable) > SHOWN else ""
        yield f"cannot be used: {len(unusable)} ({some}{more})"
    empty = [file.path for file in listing.files if not file.size and not file.problem]
    if empty:
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
