"""Which images of a source train and which are held out: a pure function of its index, its settings and the target's images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from jobs.data.index import IndexEntry, by_content
from jobs.data.split import TRAIN, VALIDATION, Entries, Split
from jobs.data.split_groups import Unit, apportion, draw, units_of
from tlbatch import nouns
from tlbatch.errors import DataError
from tlbatch.spec.dataset import SourceSplit

HELD_BACK = "the target has it, or a near copy of it, and does not train on it"


def split_source(
    name: str, entries: Iterable[IndexEntry], split: SourceSplit, classes: Sequence[str], held_back: Collection[str]
) -> Split:
    """``train`` and ``validation`` of a source; nothing of it tests.

    ``held_back``: content ids of what does not train in the target, that which judges and chooses among it, and of its near
    copies in the source. Such an item, its near copies within the source and what is of one group with it train nothing here.

    Raises DataError where a class is left without training images.
    """
    used = [entry for entry in entries if entry.label in set(classes)]
    free: list[IndexEntry] = []
    left_out: list[tuple[IndexEntry, str]] = []
    for unit in units_of(used):
        if any(entry.id in held_back for entry in unit.entries):
            left_out += [(entry, HELD_BACK) for entry in unit.entries]
        else:
            free += unit.entries
    ready = any(entry.part for entry in used)
    train, validation = _ready_made(free) if ready else _drawn(free, split)
    for entry in free if ready else ():
        if entry.part not in (TRAIN, VALIDATION):
            why = f"in {entry.part}, of which nothing is read" if entry.part else "the data names no part for it"
            left_out.append((entry, why))
    missing = sorted(set(classes) - {entry.label for entry in train})
    if missing:
        raise DataError(
            f"sources.{name}: no {nouns.item()} trains of {', '.join(missing[:5])}: hold out fewer "
            f"(sources.{name}.split.validation), "
            f"add {nouns.items()}, or leave the class out (sources.{name}.classes)"
        )
    return Split(train, validation, (), tuple(sorted(left_out, key=lambda item: by_content(item[0]))))


def _ready_made(entries: Sequence[IndexEntry]) -> tuple[Entries, Entries]:
    """The data's own parts; a unit that has images in both validates."""
    parts: dict[str, list[IndexEntry]] = {TRAIN: [], VALIDATION: []}
    for unit in units_of([entry for entry in entries if entry.part in parts]):
        place = VALIDATION if any(entry.part == VALIDATION for entry in unit.entries) else TRAIN
        parts[place] += [entry for entry in unit.entries if entry.part == place]
    return _sorted(parts[TRAIN]), _sorted(parts[VALIDATION])


def _drawn(entries: Sequence[IndexEntry], split: SourceSplit) -> tuple[Entries, Entries]:
    asked, sizes = split.validation, Counter(entry.label for entry in entries)
    count = round(asked * len(entries)) if isinstance(asked, float) else int(asked)
    if not count:
        return _sorted(entries), ()
    quota = apportion(min(count, len(entries)), sizes, leave=1)
    drawn = draw(units_of(entries), {VALIDATION: quota}, TRAIN, str(split.seed))
    return _flat(drawn[TRAIN]), _flat(drawn.get(VALIDATION, []))


def _flat(units: Iterable[Unit]) -> Entries:
    return _sorted([entry for unit in units for entry in unit.entries])


def _sorted(entries: Iterable[IndexEntry]) -> Entries:
    return tuple(sorted(entries, key=by_content))
