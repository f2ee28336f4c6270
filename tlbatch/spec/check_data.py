"""Splits that cannot be drawn, labels that contradict them, seeds, schedules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar
from zoneinfo import ZoneInfo

from tlbatch import nouns
from tlbatch.logins import KEYS, has_login
from tlbatch.schema.yamltree import Mistake, Path
from tlbatch.spec.cron import cron_mistake
from tlbatch.spec.dataset import Dataset, Images, Source, Split
from tlbatch.spec.resources import Schedule
from tlbatch.spec.study import Study

SPLIT: Path = ("dataset", "split")
PARTS = ("train", "validation", "test")


def check_data(study: Study) -> Iterator[Mistake]:
    """Mistakes in dataset, repeat and schedule."""
    yield from _images(study.dataset, ("dataset",))
    yield from _aliases(study.dataset, ("dataset",))
    yield from _amounts(study.dataset.split)
    yield from _ready_made(study.dataset)
    yield from _groups(study.dataset, ("dataset",))
    for name, source in study.sources.items():
        yield from _source(source, ("sources", name))
    yield from _repeat(study)
    if study.schedule:
        yield from _schedule(study.schedule, study.dataset.classes, study.dataset.tasks)


def _images(dataset: Images, at: Path) -> Iterator[Mistake]:
    if not dataset.url.strip():
        yield Mistake((*at, "url"), "is empty: name a folder or s3://bucket/prefix")
    elif "://" in dataset.url and has_login(dataset.url):
        yield Mistake((*at, "url"), f"holds a login (what stands before its @): write s3://bucket/prefix, and {KEYS}")
    elif "://" in dataset.url and not dataset.url.startswith("s3://"):
        scheme = dataset.url.partition("://")[0]
        yield Mistake((*at, "url"), f"{scheme}:// cannot be listed; use a folder or s3://bucket/prefix")
    if dataset.classes is not None:
        for name in _repeated(dataset.classes):
            yield Mistake((*at, "classes"), f"{name!r} is there twice")
        if len(dataset.classes) < 2:
            yield Mistake((*at, "classes"), "a classifier needs at least two classes")


def _source(source: Source, at: Path) -> Iterator[Mistake]:
    """A source is written as a dataset is, and has no test set."""
    yield from _images(source, at)
    yield from _aliases(source, at)
    yield from _groups(source, at)
    split, path = source.split, (*at, "split")
    if isinstance(split.validation, float) and split.validation >= 1:
        yield Mistake((*path, "validation"), f"{split.validation:g} leaves nothing to train on")
    if split.folders is not None and "train" not in split.folders:
        yield Mistake((*path, "folders"), "names no folder for train")
    for name in _repeated(list((split.folders or {}).values())):
        yield Mistake((*path, "folders"), f"the folder {name!r} stands for two parts")
    if split.folders is not None and source.labels is not None:
        yield Mistake((*at, "labels"), "the folders of split.folders say the labels already: remove one of the two")


def _aliases(dataset: Images, at: Path) -> Iterator[Mistake]:
    for name, target in dataset.aliases.items():
        path: Path = (*at, "aliases", name)
        if not target.strip():
            yield Mistake(path, "names no class: write the one it is merged into")
        elif target == name:
            yield Mistake(path, "is merged into itself: remove it, or name another class")
        elif target in dataset.aliases:
            yield Mistake(path, f"{target!r} is merged into {dataset.aliases[target]!r} itself: name that one")
        if dataset.classes is not None and name in dataset.classes:
            text = f"{name!r} is merged into {target!r}, and {'.'.join(map(str, at))}.classes names both: remove one of the two"
            yield Mistake(path, text, None, ((*at, "classes"),))


def _amounts(split: Split) -> Iterator[Mistake]:
    fractions = 0.0
    for part in PARTS:
        amount = getattr(split, part)
        if isinstance(amount, float):
            fractions += amount
            if amount > 1:
                count = f"; write {round(amount)} for a count" if amount.is_integer() else ""
                yield Mistake((*SPLIT, part), f"{amount:g} is a fraction above 1{count}")
    if fractions > 1 + 1e-9 and all(not isinstance(getattr(split, part), float) or getattr(split, part) <= 1 for part in PARTS):
        given = " + ".join(f"{getattr(split, part):g}" for part in PARTS if isinstance(getattr(split, part), float))
        yield Mistake(
            SPLIT, f"{given} = {fractions:g}: more than the whole (validation and test are 0.15 unless you say otherwise)"
        )
    elif split.train is None and fractions > 1 - 1e-9 and not split.folders:
        yield Mistake(SPLIT, "validation and test leave nothing to train on")
    if split.train == 0:
        yield Mistake((*SPLIT, "train"), "nothing to train on")
    if split.test == 0:
        yield Mistake((*SPLIT, "test"), f"nothing to test on: a comparison needs {nouns.items()} that no training has seen")


def _ready_made(dataset: Dataset) -> Iterator[Mistake]:
    split, labels = dataset.split, dataset.labels
    said = [part for part in PARTS if part in split.model_fields_set]
    if split.folders is not None:
        missing = [part for part in ("train", "test") if part not in split.folders]
        if missing:
            yield Mistake((*SPLIT, "folders"), f"names no folder for {' and '.join(missing)}")
        for name in _repeated(list(split.folders.values())):
            yield Mistake((*SPLIT, "folders"), f"the folder {name!r} stands for two parts")
        yield from (_contradiction((*SPLIT, part), "folders") for part in said if part in split.folders or part == "train")
        if split.folds is not None:
            yield _contradiction((*SPLIT, "folds"), "folders")
        if labels is not None:
            yield Mistake(("dataset", "labels"), "the folders of split.folders say the labels already: remove one of the two")
    if labels is not None and labels.split is not None:
        yield from (_contradiction((*SPLIT, part), "labels.split") for part in said if part != "validation")
        if split.folds is not None:
            yield _contradiction((*SPLIT, "folds"), "labels.split")


def _contradiction(path: Path, by: str) -> Mistake:
    return Mistake(path, f"{by} says already which {nouns.item()} is in which part: remove one of the two")


def _groups(dataset: Dataset | Source, at: Path) -> Iterator[Mistake]:
    pattern, path = dataset.split.group, (*at, "split", "group")
    if pattern is None:
        return
    if dataset.labels is not None and dataset.labels.group is not None:
        yield Mistake(path, "labels.group names the groups already: remove one of the two")
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        yield Mistake(path, f"is not a regular expression: {error}")
        return
    if groups < 1:
        yield Mistake(path, f"needs parentheses around what names the group, e.g. '({pattern})'")


def _repeat(study: Study) -> Iterator[Mistake]:
    split, repeat = study.dataset.split, study.repeat
    for seed in _repeated(repeat.seeds):
        yield Mistake(("repeat", "seeds"), f"{seed} is there twice: the same training again")
    if any(seed < 0 for seed in repeat.seeds):
        yield Mistake(("repeat", "seeds"), "a seed is 0 or more")
    if repeat.redraw == "none":
        return
    path = ("repeat", "redraw")
    labels = study.dataset.labels
    fractions = [split.train, split.validation, split.test]
    if split.folds is not None:
        yield Mistake(path, f"folds draw other training {nouns.items()} already: remove one of the two")
    elif split.folders is not None or (labels is not None and labels.split is not None):
        yield Mistake(path, f"the data says which {nouns.items()} train: there is nothing to redraw")
    elif split.train is None:
        yield Mistake(
            path,
            f"nothing to redraw from: say how many {nouns.items()} train, fewer than validation and test leave",
            None,
            (SPLIT,),
        )
    elif all(isinstance(part, float) for part in fractions) and sum(part or 0 for part in fractions) > 1 - 1e-9:
        yield Mistake(path, "nothing to redraw from: train, validation and test are the whole", None, (SPLIT,))


def _schedule(schedule: Schedule, classes: Sequence[str] | None, tasks: Sequence[str]) -> Iterator[Mistake]:
    wrong = cron_mistake(schedule.cron)
    if wrong:
        yield Mistake(("schedule", "cron"), wrong)
    try:
        ZoneInfo(schedule.timezone)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; odd keys are the other two
        yield Mistake(
            ("schedule", "timezone"), f"{schedule.timezone!r} is not a time zone; write it like Asia/Shanghai or Etc/UTC"
        )
    if schedule.starting_deadline_s < 10:
        yield Mistake(
            ("schedule", "starting_deadline"), "below 10s a cluster, which looks every 10 s, may start none at all: 1h is usual"
        )
    if isinstance(schedule.class_bound, dict) and classes is not None and not tasks:
        for name in schedule.class_bound:
            if name not in classes:
                yield Mistake(("schedule", "class_bound", name), "is not among dataset.classes")


_Value = TypeVar("_Value", int, str)


def _repeated(values: Sequence[_Value]) -> list[_Value]:
    return [value for value, times in Counter(values).items() if times > 1]
