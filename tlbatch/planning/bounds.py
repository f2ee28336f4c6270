"""A schedule's bounds of classes, held against how many test images each class will have: known before anything runs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from tlbatch import nouns
from tlbatch.datasets.listing import ListedFile, Listing
from tlbatch.packed import packed
from tlbatch.spec import Study

NAMED = 3  #: classes named in the sentence


def images_that_test(study: Study, listing: Listing, of: int | None = None) -> dict[str, int]:
    """About how many test images of each class there will be, as far as the listing tells: ready-made, or in proportion.

    ``of``: files of the whole dataset, where the listing has those of one task.
    """
    split = study.dataset.split
    usable = Counter((part, label) for part, label, problem in listing.files.columns("part", "label", "problem") if not problem)
    if any(part for part, _ in usable):
        return {name: usable["test", name] for name in listing.classes}
    counts, asked = {label: count for (_, label), count in usable.items()}, split.test or 0
    share = asked if isinstance(asked, float) else asked / max(of or usable.total(), 1)
    return {name: max(1, round(share * counts.get(name, 0))) for name in listing.classes}


def coarse_bounds(study: Study, listing: Listing) -> Iterator[str]:
    """A sentence where one test image of a class is more than the class may lose; nothing without ``schedule.class_bound``."""
    if study.schedule is None or study.schedule.class_bound is None:
        return
    for task in study.dataset.tasks or (None,):
        yield from _coarse(study, listing if task is None else _of_task(listing, task), task, len(listing.files))


def _of_task(listing: Listing, task: str) -> Listing:
    """What has a label of one of several tasks, by that label."""
    files = (replace(file, label=file.tasks[task]) for file in listing.files if task in file.tasks)
    return replace(listing, files=packed(ListedFile, files), classes=listing.tasks[task])


def _coarse(study: Study, listing: Listing, task: str | None, files: int) -> Iterator[str]:
    assert study.schedule is not None
    given = study.schedule.bound_of(task)
    if given is None:
        return
    bounds = given if isinstance(given, dict) else dict.fromkeys(listing.classes, given)
    counts = images_that_test(study, listing, None if task is None else files)
    coarse = sorted(
        (counts[name], name) for name, bound in bounds.items() if counts.get(name) and 1 / counts[name] > bound + 1e-12
    )
    if not coarse:
        return
    said = [
        f"{name} will have about {nouns.count(count, 'test')}, so that one is "
        f"{100 / count:.1f} points of its recall, more than its bound of {100 * bounds[name]:.1f}"
        for count, name in coarse[:NAMED]
    ]
    more = f"; so it is with {len(coarse) - NAMED} more classes" if len(coarse) > NAMED else ""
    yield (
        f"schedule.class_bound{f'.{task}' if task else ''}: {'; '.join(said)}{more}: such a bound cannot be told from "
        "chance, and one "
        f"{nouns.item()} alone refuses nobody; ask for more test {nouns.items()} (dataset.split.test) or widen it"
    )
