"""Which images a schedule pins: the study's split at its first firing, later the same lists, unless what they name changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.data.freshness import freshen, renewed
from jobs.data.index import IndexEntry, by_content
from jobs.data.pins import Labels, Pin, Pins, labels_of
from jobs.data.split import POOL, TEST, VALIDATION, Entries, held_out_quotas, split_index
from jobs.data.split_groups import draw, units_of
from tlbatch import nouns
from tlbatch.errors import DataError

NAMED = 5  #: paths named in a sentence
NewClasses = Mapping[str | None, Sequence[str]]
"""Classes that were not there before, by task; under None of one task."""


def pin_images(
    before: Pins | None,
    entries: Sequence[IndexEntry],
    split: Mapping[str, Any],
    *,
    known: frozenset[str] | None = None,
    share: float = 0.0,
    renew: bool = False,
    learnt: frozenset[str] = frozenset(),
) -> Pins:
    """The pins of this firing; ``split`` is the study's with ``classes`` added, and of several ``tasks``, {task: its classes}.

    Raises DataError where a class has no test.

    ``known``: short ids of images that earlier firings knew; of those that came since, ``share`` judges before it trains
    (jobs.data.freshness). ``renew``: those that wait so are the next test set, where every class is among them.
    ``learnt``: ids of images that the champion got a class from: of new classes none of them, or of their copies, is pinned.
    """
    classes = list(split["classes"])
    used = used_of(entries, classes)
    if before is None:
        return _first(used, split)
    now = replace(before, classes=tuple(classes), tasks=_tasks(split))
    if renew:
        waiting = replace(now, fresh=_followed(before.fresh, used, before.version + 1).kept)
        before = renewed(replace(waiting, classes=before.classes, tasks=before.tasks)) if _judges_all(waiting) else before
    new = _new_classes(before, now)
    return freshen(
        _again(before, used, split, new, learnt), used, known, share, split["seed"], lambda entry: _shows(entry, new)
    )


def _tasks(split: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {task: tuple(classes) for task, classes in (split.get("tasks") or {}).items()}


def _judges_all(pins: Pins) -> bool:
    """Whether every class of every task is among its fresh images."""
    return all({pin.label for pin in own.fresh} >= set(own.classes) for _, own in pins.each)


def _new_classes(before: Pins, now: Pins) -> NewClasses:
    known = {task: before.tasks.get(task, ()) if task else before.classes for task, _ in now.each}
    return {task: [name for name in own.classes if name not in known[task]] for task, own in now.each}


def _shows(entry: IndexEntry, new: NewClasses) -> bool:
    return any((entry.label if task is None else entry.tasks.get(task)) in names for task, names in new.items())


def used_of(entries: Iterable[IndexEntry], classes: Sequence[str]) -> list[IndexEntry]:
    """Those of the classes, by content; of several tasks those that have a label of any."""
    return [entry for entry in sorted(entries, key=by_content) if entry.tasks or entry.label in set(classes)]


def _again(before: Pins, used: Sequence[IndexEntry], split: Mapping[str, Any], new: NewClasses, learnt: frozenset[str]) -> Pins:
    """The same lists, but for what became of the images in them, and shares of ``new`` classes."""
    validation, test = (_followed(pins, used, before.version + 1) for pins in (before.validation, before.test))
    drawn = _shares(used, split, new, {pin.id for pin in (*before.validation, *before.test)} | learnt)
    shares = {part: [replace(pin, since=before.version + 1) for pin in pins] for part, pins in drawn.items()}
    return _next(
        replace(
            before,
            classes=tuple(split["classes"]),
            tasks=_tasks(split),
            validation=tuple(sorted([*validation.kept, *shares[VALIDATION]])),
            test=tuple(sorted([*test.kept, *shares[TEST]])),
        ),
        test,
        new,
    )


def _first(used: Sequence[IndexEntry], split: Mapping[str, Any]) -> Pins:
    drawn = split_index(used, split)
    doubtful = _two_labels(used)
    validation, test = (_pinned(part, doubtful) for part in (drawn.validation, drawn.test))
    return Pins(1, tuple(split["classes"]), validation, test, tasks=_tasks(split))


def _pinned(entries: Entries | list[IndexEntry], doubtful: set[str]) -> tuple[Pin, ...]:
    """A pin a picture. One that carries two labels can judge nobody."""
    first = {entry.id: entry for entry in reversed(entries) if entry.id not in doubtful}
    return tuple(sorted(Pin.of(entry) for entry in first.values()))


def _two_labels(used: Iterable[IndexEntry]) -> set[str]:
    """Ids of pictures of which two files are labelled otherwise, of several tasks in any."""
    labels: dict[str, set[tuple[str, Labels]]] = defaultdict(set)
    for entry in used:
        labels[entry.id].add((entry.label, labels_of(entry)))
    return {name for name, found in labels.items() if len(found) > 1}


@dataclass(frozen=True)
class _Followed:
    """A part as it is now: ``kept`` with today's labels; ``removed`` and ``relabelled`` (before, after) apart."""

    kept: tuple[Pin, ...]
    removed: tuple[Pin, ...]
    relabelled: tuple[tuple[Pin, Pin], ...]

    @property
    def changed(self) -> bool:
        return bool(self.removed or self.relabelled)


def _followed(pins: Sequence[Pin], used: Sequence[IndexEntry], version: int) -> _Followed:
    """A picture keeps its label as long as one of its files has it; else it takes another in the next ``version``."""
    labels: dict[str, list[tuple[str, Labels]]] = defaultdict(list)
    for entry in used:
        labels[entry.id].append((entry.label, labels_of(entry)))

    def followed(pin: Pin) -> Pin:
        found = labels[pin.id]
        return pin if (pin.label, pin.tasks) in found else replace(pin, label=found[0][0], tasks=found[0][1], since=version)

    now = [followed(pin) for pin in pins if labels[pin.id]]
    before = {pin.id: pin for pin in pins}
    return _Followed(
        kept=tuple(now),
        removed=tuple(pin for pin in pins if not labels[pin.id]),
        relabelled=tuple((before[pin.id], pin) for pin in now if pin != before[pin.id]),
    )


def _shares(
    used: Sequence[IndexEntry], split: Mapping[str, Any], new: NewClasses, pinned: set[str]
) -> dict[str, tuple[Pin, ...]]:
    """What of new classes validates and tests, of one task after the other: with it come the labels it has of others."""
    doubtful, taken = _two_labels(used), set(pinned)
    parts: dict[str, list[Pin]] = {VALIDATION: [], TEST: []}
    whole = {entry.id: entry for entry in reversed(used)}
    for task, names in new.items():
        of_it = used if task is None else [replace(e, label=e.tasks[task]) for e in used if task in e.tasks]
        for part, pins in _shares_of_task(of_it, split, names, taken, doubtful).items():
            parts[part] += [Pin.of(whole[pin.id]) if task else pin for pin in pins]
            taken |= {pin.id for pin in pins}
    return {part: tuple(sorted(pins)) for part, pins in parts.items()}


def _shares_of_task(
    used: Sequence[IndexEntry], split: Mapping[str, Any], new: Sequence[str], pinned: set[str], doubtful: set[str]
) -> dict[str, tuple[Pin, ...]]:
    """As many as the split would draw of these classes now, or the data's own parts."""
    if not new:
        return {VALIDATION: (), TEST: ()}
    units = [
        unit
        for unit in units_of(used)
        if set(unit.counts) <= set(new) and not any(entry.id in pinned or entry.id in doubtful for entry in unit.entries)
    ]
    if any(entry.part for entry in used):
        inside = [entry for unit in units for entry in unit.entries]
        return {part: _pinned([entry for entry in inside if entry.part == part], doubtful) for part in (VALIDATION, TEST)}
    quotas = {part: {name: quota[name] for name in new} for part, quota in held_out_quotas(used, split).items()}
    drawn = draw(units, quotas, POOL, str(split["seed"]))
    found = {part: [entry for unit in drawn.get(part, []) for entry in unit.entries] for part in (VALIDATION, TEST)}
    return {part: _pinned(entries, doubtful) for part, entries in found.items()}


def _next(pins: Pins, test: _Followed, new: NewClasses) -> Pins:
    """The next version where the test set is another one now, else the same. Raises DataError where a class lost its test."""
    empty = _named({task: sorted(set(own.classes) - {pin.label for pin in own.test}) for task, own in pins.each})
    added = _named(new)
    if empty:
        raise DataError(
            f"no pinned test {nouns.item()} of {_some(empty)}: put {nouns.items()} back, add more of a new class, "
            f"or leave the class out "
            "(dataset.classes)"
        )
    if not test.changed and not added:
        return pins
    changed = {
        "removed": sorted(pin.path for pin in test.removed),
        "relabelled": [{"path": a.path, "before": a.words, "after": b.words} for a, b in test.relabelled],
        "new_classes": added,
    }
    return replace(pins, version=pins.version + 1, changed=changed)


def _named(classes: NewClasses) -> list[str]:
    """'pug', or of several tasks 'breed: pug'."""
    return [f"{task}: {name}" if task else name for task, names in classes.items() for name in names]


def sentence_of(pins: Pins) -> str:
    """What the test set is, and how it came about: a function of the pins alone."""
    of = _count(len(pins.classes), "class", "classes")
    if pins.tasks:
        own = [f"{task} {len(each.test):,} ({_count(len(each.classes), 'class', 'classes')})" for task, each in pins.each]
        of = f"several tasks, with labels of {', '.join(own)}"
    what = f"test set version {pins.version}: {nouns.count(len(pins.test))} of {of}"
    held = f"{nouns.count(len(pins.validation))} pinned for validation"
    held += f"; {nouns.count(len(pins.fresh), 'later')} judge before they train" if pins.fresh else ""
    if pins.changed is None:
        return f"{what}, {held}"
    if "renewed" in pins.changed:
        return (
            f"{what}, {held}; all of them take the place of version {pins.changed['renewed']}, whose "
            f"{nouns.items()} train from now on"
        )
    removed, relabelled, new = (pins.changed[name] for name in ("removed", "relabelled", "new_classes"))
    said = [f"{_count(len(relabelled), 'label')} corrected ({_some([r['path'] for r in relabelled])})"] if relabelled else []
    said += [f"{nouns.count(len(removed))} gone ({_some(removed)})"] if removed else []
    said += [f"new: {_some(new)}"] if new else []
    return f"{what}, {held}; since the version before: {'; '.join(said)}"


def _count(n: int, word: str, many: str | None = None) -> str:
    return f"{n:,} {word if n == 1 else many or word + 's'}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
