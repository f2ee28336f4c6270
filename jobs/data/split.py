"""Which image trains, which chooses, which tests: a pure function of the index and the study's split settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.data.index import IndexEntry, by_content
from jobs.data.pins import Labels, Pins, labels_of
from jobs.data.split_groups import Quota, Unit, apportion, draw, units_of
from tlbatch import nouns
from tlbatch.errors import DataError
from tlbatch.spec.dataset import rest_trains

Entries = tuple[IndexEntry, ...]
TEST, VALIDATION, TRAIN, POOL, UNUSED, FRESH = "test", "validation", "train", "pool", "unused", "fresh"
COPY_OF_PINNED = "a copy of a pinned"


@dataclass(frozen=True)
class Split:
    """The parts, disjoint by content, each sorted by id and path; ``left_out`` says why an image is in none of them.

    ``fresh``: a schedule's later images that judge before they train (jobs.data.freshness).
    """

    train: Entries
    validation: Entries
    test: Entries
    left_out: tuple[tuple[IndexEntry, str], ...] = ()
    folds: tuple[Entries, ...] = field(default=(), repr=False)
    fresh: Entries = ()

    def fold(self, number: int) -> tuple[Entries, Entries]:
        """Training and validation images of one fold (from 0)."""
        training = [entry for i, fold in enumerate(self.folds) if i != number for entry in fold]
        return tuple(sorted(training, key=by_content)), self.folds[number]


def split_index(
    entries: Iterable[IndexEntry], split: Mapping[str, Any], *, seed_redraw: int | None = None, pins: Pins | None = None
) -> Split:
    """Divide the images. ``split`` is the study's ``dataset.split`` with ``classes`` (list) added.

    An image's place is the rank of sha256(seed, content hash) within its class. Copies of one picture and images of one
    group go to one part, so that parts may differ from what was asked for by a few images. With ``seed_redraw``, the
    training images are drawn anew among all that neither validate nor test. With ``pins`` these say which images validate
    and test, and all others train (``_pinned``). Raises DataError where it cannot be done.

    Of several tasks every image has its one place, drawn within the classes of the main one (images without its label are a
    class of their own), so that none trains for one task and tests another. With ``task`` the parts are those images of
    theirs that have its label, which is their label then; without, all.
    """
    classes, task = list(split["classes"]), split.get("task")
    used = [entry for entry in entries if entry.tasks or entry.label in set(classes)]
    if not used:
        raise DataError(f"no usable {nouns.item()} of the classes {', '.join(classes)}: see bad.jsonl of the prepared dataset")
    if pins is not None:
        divided = _pinned(used, split, seed_redraw, pins)
    else:
        divided = _by_parts(used, split) if any(entry.part for entry in used) else _drawn(used, split, seed_redraw)
    if task is not None:
        divided = _of_task(divided, task)
    _check(divided, classes, task)
    return divided


def _of_task(split: Split, task: str) -> Split:
    """What has a label of the task, by that label."""

    def of_it(entries: Entries) -> Entries:
        return tuple(replace(entry, label=entry.tasks[task]) for entry in entries if task in entry.tasks)

    parts = (split.train, split.validation, split.test)
    without = [(entry, f"no label of {task}") for part in parts for entry in part if task not in entry.tasks]
    return Split(
        train=of_it(split.train),
        validation=of_it(split.validation),
        test=of_it(split.test),
        left_out=(*split.left_out, *without),
        folds=tuple(of_it(fold) for fold in split.folds),
        fresh=of_it(split.fresh),
    )


def _drawn(entries: Sequence[IndexEntry], split: Mapping[str, Any], seed_redraw: int | None) -> Split:
    wanted = amounts(split, len(entries))
    units, seed = units_of(entries), str(split["seed"])
    folds = split.get("folds")
    held_out = {TEST: wanted[TEST]} if folds else {TEST: wanted[TEST], VALIDATION: wanted[VALIDATION]}
    first = draw(units, _quotas(entries, held_out), POOL, seed)
    pool = first[POOL]
    training = min(wanted[TRAIN] + (wanted[VALIDATION] if folds else 0), sum(len(unit.entries) for unit in pool))
    redraw = seed if seed_redraw is None else f"{seed}:{seed_redraw}"
    second = draw(pool, _quotas(_entries(pool), {TRAIN: training}), UNUSED, redraw)
    left_out = [(entry, "more than the study asks for") for entry in _entries(second[UNUSED])]
    return Split(
        train=_entries(second[TRAIN]),
        validation=_entries(first.get(VALIDATION, [])),
        test=_entries(first[TEST]),
        left_out=tuple(left_out),
        folds=_folds(second[TRAIN], folds, seed) if folds else (),
    )


def amounts(split: Mapping[str, Any], available: int) -> dict[str, int]:
    """Images wanted in each part: counts as they are, fractions of all that are ``available``; train takes what is left.

    Raises DataError when there are fewer images than the counts add up to.
    """
    given = [split.get(TRAIN), split.get(VALIDATION, 0), split.get(TEST, 0)]
    counts = [round(value * available) if isinstance(value, float) else value for value in given]
    validation, test = int(counts[1] or 0), int(counts[2] or 0)
    train = max(available - validation - test, 0) if rest_trains(*given) else int(counts[0] or 0)
    if train == 0 or train + validation + test > available:
        raise DataError(
            f"dataset.split asks for {train} training, {validation} validation and {test} test {nouns.items()}, and "
            f"{available} are "
            f"usable: ask for fewer, or add {nouns.items()} (bad.jsonl of the prepared dataset lists those that cannot be used)"
        )
    return {TRAIN: train, VALIDATION: validation, TEST: test}


def held_out_quotas(entries: Sequence[IndexEntry], split: Mapping[str, Any]) -> dict[str, Quota]:
    """Images of each class that the split would hold out for test and validation, of all these."""
    count = len(entries)
    wanted = {part: split.get(part) or 0 for part in (TEST, VALIDATION) if part == TEST or not split.get("folds")}
    counts = {part: round(value * count) if isinstance(value, float) else int(value) for part, value in wanted.items()}
    return _quotas(entries, {part: min(value, count // len(counts)) for part, value in counts.items()})


def _quotas(entries: Sequence[IndexEntry], wanted: Mapping[str, int]) -> dict[str, Quota]:
    """How many of each class go to each part: in proportion, one part after the other from what the last has left."""
    sizes = Counter(entry.label for entry in entries)
    quotas: dict[str, Quota] = {}
    for name, total in wanted.items():
        quotas[name] = apportion(total, sizes, leave=0 if name == TRAIN else 1)
        sizes.subtract(quotas[name])
    return quotas


def _folds(units: Sequence[Unit], count: int, seed: str) -> tuple[Entries, ...]:
    """Parts of nearly equal size, stratified: each unit goes where its classes, then all images, are fewest."""
    folds: list[list[Unit]] = [[] for _ in range(count)]
    sizes: list[Counter[str]] = [Counter() for _ in range(count)]
    for unit in sorted(units, key=lambda unit: (-len(unit.entries), unit.rank(f"{seed}:folds"), unit.entries[0].id)):
        labels = unit.counts
        place = min(range(count), key=lambda i: (sum(sizes[i][label] for label in labels), sizes[i].total(), i))
        folds[place].append(unit)
        sizes[place] += labels
    if min(size.total() for size in sizes) == 0:
        raise DataError(
            f"dataset.split.folds: {count} folds need at least {count} {nouns.items()} or groups to train on, not {len(units)}"
        )
    return tuple(_entries(fold) for fold in folds)


def _by_parts(entries: Sequence[IndexEntry], split: Mapping[str, Any]) -> Split:
    """The data's own parts. What a test (or validation) image has a copy of leaves the other parts, and is listed."""
    parts: dict[str, list[IndexEntry]] = {TEST: [], VALIDATION: [], TRAIN: []}
    left_out = [(entry, "the data names no part for it") for entry in entries if entry.part is None]
    for unit in units_of([entry for entry in entries if entry.part is not None]):
        place = next(part for part in parts if any(entry.part == part for entry in unit.entries))
        for entry in unit.entries:
            if entry.part == place:
                parts[place].append(entry)
            else:
                left_out.append((entry, f"in {entry.part}, but a copy or its group is in {place}"))
    if not parts[VALIDATION] and split.get(VALIDATION) and parts[TRAIN]:
        drawn = _drawn(parts[TRAIN], {**split, TEST: 0, TRAIN: None, "folds": None}, None)
        parts |= {TRAIN: list(drawn.train), VALIDATION: list(drawn.validation)}
    ordered = {name: tuple(sorted(part, key=by_content)) for name, part in parts.items()}
    left_out.sort(key=lambda item: by_content(item[0]))
    return Split(ordered[TRAIN], ordered[VALIDATION], ordered[TEST], tuple(left_out))


def _pinned(entries: Sequence[IndexEntry], split: Mapping[str, Any], seed_redraw: int | None, pins: Pins) -> Split:
    """Pinned pictures in their parts, one file of each; all else trains, however many the study asks for at least.

    Left out is what is a copy of a pinned picture, nearly or exactly, or of one group with it, and what came to a ready-made
    test or validation part later. With ``seed_redraw`` each seed still draws as many as ``train`` says, among all that train.
    """
    held = _held(entries, pins)
    ready_made = any(entry.part for entry in entries)
    left_out, free = [], []
    for unit in units_of(entries):
        part = next((name for name, pictures in held.items() if any(entry.id in pictures for entry in unit.entries)), None)
        for entry in unit.entries:
            if any(pictures.get(entry.id) is entry for pictures in held.values()):
                continue
            if part == FRESH:
                left_out.append((entry, f"a copy of {nouns.an_item()} that judges before it trains, or of one group with it"))
            elif part is not None:
                left_out.append((entry, f"{COPY_OF_PINNED} {part} {nouns.item()}, or of one group with it"))
            elif ready_made and entry.part != TRAIN:
                why = (
                    f"in {entry.part}, but not among its pinned {nouns.items()}"
                    if entry.part
                    else "the data names no part for it"
                )
                left_out.append((entry, why))
            else:
                free.append(entry)
    training, unused = _redrawn(free, split, seed_redraw, len(entries))
    left_out += [(entry, "not drawn for this seed") for entry in _entries(unused)]
    parts = {name: tuple(sorted(pictures.values(), key=by_content)) for name, pictures in held.items()}
    folds = split.get("folds")
    return Split(
        train=_entries(training),
        validation=parts[VALIDATION],
        test=parts[TEST],
        left_out=tuple(sorted(left_out, key=lambda item: by_content(item[0]))),
        folds=_folds(training, folds, str(split["seed"])) if folds else (),
        fresh=parts[FRESH],
    )


def _held(entries: Sequence[IndexEntry], pins: Pins) -> dict[str, dict[str, IndexEntry]]:
    """For each part that is held back the file of each pinned picture, by content. Raises DataError where one is not there."""
    files: dict[tuple[str, str, Labels], IndexEntry] = {}
    for entry in sorted(entries, key=by_content):
        files.setdefault((entry.id, entry.label, labels_of(entry)), entry)
    missing = [pin for pin in (*pins.test, *pins.validation, *pins.fresh) if (pin.id, pin.label, pin.tasks) not in files]
    if missing:
        raise DataError(
            f"{len(missing)} pinned {nouns.items()} are not in the dataset ({missing[0].path} among them): these "
            f"pins were made for "
            "another one; run the schedule again"
        )
    return {
        part: {pin.id: files[pin.id, pin.label, pin.tasks] for pin in pinned}
        for part, pinned in ((TEST, pins.test), (VALIDATION, pins.validation), (FRESH, pins.fresh))
    }


def _redrawn(
    free: Sequence[IndexEntry], split: Mapping[str, Any], seed_redraw: int | None, available: int
) -> tuple[list[Unit], list[Unit]]:
    """The units that train and those that do not: all and none, unless seeds draw their own."""
    units, wanted = units_of(free), split.get(TRAIN)
    if seed_redraw is None or wanted is None:
        return units, []
    given = [wanted, split.get(VALIDATION, 0)] if split.get("folds") else [wanted]
    count = sum(round(value * available) if isinstance(value, float) else int(value) for value in given)
    drawn = draw(units, _quotas(free, {TRAIN: min(len(free), count)}), UNUSED, f"{split['seed']}:{seed_redraw}")
    return drawn[TRAIN], drawn[UNUSED]


def _check(split: Split, classes: Sequence[str], task: str | None = None) -> None:
    """Every class must train and be tested. Raises DataError."""
    of_task = "" if task is None else f" (task {task}, of which labels are missing or the classes small)"
    for name, entries in ((TRAIN, split.train), (TEST, split.test)):
        missing = sorted(set(classes) - {entry.label for entry in entries})
        if missing:
            some = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            raise DataError(
                f"no {name} {nouns.item()} of {some}{of_task}: raise dataset.split.{name}, add {nouns.items()}, or leave the "
                f"class out (dataset.classes)"
            )


def _entries(units: Iterable[Unit]) -> Entries:
    return tuple(sorted((entry for unit in units for entry in unit.entries), key=by_content))
