"""Which new images judge before they train, and when they leave to train. Pure, and free of numpy.

A firing's new units (nothing of them was there before, and nothing pinned is like them) judge where their rank says so, a
share of them; all others train. A unit with a fresh image stays whole. Once there are as many fresh images as pinned test
ones the oldest leave to train; so do those of which a copy has trained, or may have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from jobs.data.index import IndexEntry
from jobs.data.pins import Labels, Pin, Pins, labels_of, short
from jobs.data.split import TRAIN
from jobs.data.split_groups import Unit, units_of


def freshen(
    pins: Pins,
    used: Sequence[IndexEntry],
    known: frozenset[str] | None,
    share: float,
    seed: Any,
    of_new_class: Callable[[IndexEntry], bool],
) -> Pins:
    """``pins`` with the fresh images of now. ``known``: short ids of the firing before, None where they are not known."""
    there = {short(entry.id) for entry in used}
    arrivals = pins.arrivals + (1 if known is not None and there - known else 0)
    held = {pin.id for pin in (*pins.validation, *pins.test)}
    before = {pin.id: pin for pin in pins.fresh}
    fresh: list[Pin] = []
    for unit in units_of(used):
        if known is None or not _is_new(unit, known, held, set(before)):
            continue
        waits = any(entry.id in before for entry in unit.entries)
        if waits or (not any(map(of_new_class, unit.entries)) and unit.rank(f"{seed}:fresh") < share * 2**64):
            fresh += _pinned(unit, before, arrivals)
    return replace(pins, fresh=_newest(fresh, used, len(pins.test)), arrivals=arrivals)


def _is_new(unit: Unit, known: frozenset[str], held: set[str], fresh: set[str]) -> bool:
    """Whether no image of the unit has trained, and none is pinned, has two labels or belongs to another ready-made part."""
    labels: dict[str, set[tuple[str, Labels]]] = {}
    for entry in unit.entries:
        labels.setdefault(entry.id, set()).add((entry.label, labels_of(entry)))
        trained = short(entry.id) in known and entry.id not in fresh
        if trained or entry.id in held or entry.part not in (None, TRAIN):
            return False
    return all(len(found) == 1 for found in labels.values())


def _pinned(unit: Unit, before: dict[str, Pin], arrival: int) -> list[Pin]:
    """A pin a picture, with today's label; what has waited goes on from when it came."""
    first = {entry.id: entry for entry in reversed(unit.entries)}
    return [
        replace(before[id_], label=entry.label, tasks=labels_of(entry)) if id_ in before else Pin.of(entry, arrival)
        for id_, entry in first.items()
    ]


def _newest(fresh: Sequence[Pin], used: Sequence[IndexEntry], most: int) -> tuple[Pin, ...]:
    """Whole units, the newest first, until there are ``most`` images."""
    by_id = {pin.id: pin for pin in fresh}
    units = [_pins_of(unit, by_id) for unit in units_of([e for e in used if e.id in by_id])]
    kept: list[Pin] = []
    for unit in sorted(units, key=lambda pins: (-max(pin.since for pin in pins), pins)):
        if len(kept) + len(unit) <= most:
            kept += unit
    return tuple(sorted(kept))


def _pins_of(unit: Unit, by_id: dict[str, Pin]) -> list[Pin]:
    return sorted({by_id[entry.id] for entry in unit.entries})


def renewed(pins: Pins) -> Pins:
    """The fresh images as the next test set: nobody trained on them. Those that were pinned train from now on."""
    version = pins.version + 1
    changed = {"removed": [], "relabelled": [], "new_classes": [], "renewed": pins.version}
    test = tuple(sorted(replace(pin, since=version) for pin in pins.fresh))
    return replace(pins, version=version, test=test, fresh=(), changed=changed)
