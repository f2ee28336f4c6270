"""What a schedule pins where images have labels of several tasks, some of them missing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jobs.data.index import IndexEntry
from jobs.data.pinning import pin_images, sentence_of
from jobs.data.pins import Pins, short
from jobs.data.split import split_index
from tests.jobs.data.test_split import entry, settings
from tests.jobs.data.test_split_tasks import pets
from tlbatch.errors import DataError

AGES, SPECIES = ("old", "young"), ("cat", "dog")


def asked(ages: tuple[str, ...] = AGES, **given: object) -> dict[str, object]:
    return {
        **settings(classes=list(SPECIES), train=60, validation=20, test=30, **given),
        "tasks": {"species": SPECIES, "age": ages},
    }


def test_an_image_tests_every_task_that_it_has_a_label_of() -> None:
    entries = pets()
    pins = pin_images(None, entries, asked())
    assert len(pins.test) == 30
    by_id = {each.id: each for each in entries}
    for task, own in pins.each:
        assert task is not None
        assert {(pin.id, pin.label) for pin in own.test} == {
            (pin.id, by_id[pin.id].tasks[task]) for pin in pins.test if task in by_id[pin.id].tasks
        }
        divided = split_index(entries, {**asked(), "task": task, "classes": pins.tasks[task]}, pins=pins)
        assert [(each.id, each.label) for each in divided.test] == [(pin.id, pin.label) for pin in own.test]
        assert not {each.id for each in divided.train} & {pin.id for pin in pins.test}
    assert Pins.from_json(json.loads(json.dumps(pins.to_json(), sort_keys=True))) == pins
    assert pin_images(pins, entries, asked()) == pins, "the next night: the same"
    species, age = (len(own.test) for _, own in pins.each)
    assert f"several tasks, with labels of species {species} (2 classes), age {age} (2 classes)" in sentence_of(pins)


def changed(entries: list[IndexEntry], id_: str, **tasks: str) -> list[IndexEntry]:
    def now(each: IndexEntry) -> IndexEntry:
        labels = {**each.tasks, **tasks}
        return replace(each, tasks=labels, label=labels.get("species", "")) if each.id == id_ else each

    return [now(each) for each in entries]


def test_a_label_of_any_task_that_is_corrected_or_filled_in_starts_a_version() -> None:
    """Fails when only the main task's label is followed: another's would be judged by the old one."""
    entries = pets()
    pins = pin_images(None, entries, asked())
    old = next(pin for pin in pins.test if dict(pin.tasks).get("age") == "old" and len(pin.tasks) == 2)
    corrected = changed(entries, old.id, age="young")
    after = pin_images(pins, corrected, asked())
    assert after.version == 2
    assert after.changed is not None
    assert after.changed["relabelled"] == [
        {"path": old.path, "before": f"age: old, species: {old.label}", "after": f"age: young, species: {old.label}"}
    ]
    assert next(pin for pin in after.of_task("age").test if pin.id == old.id).label == "young"
    bare = next(pin for pin in pins.test if "age" not in dict(pin.tasks))
    filled = pin_images(pins, changed(entries, bare.id, age="old"), asked())
    assert filled.version == 2
    assert len(filled.of_task("age").test) == len(pins.of_task("age").test) + 1


def test_a_new_class_of_any_task_gets_its_share_and_one_that_is_gone_is_told() -> None:
    entries = pets()
    pins = pin_images(None, entries, asked())
    new = [
        replace(entry(f"newborn{i}", SPECIES[i % 2]), tasks={"species": SPECIES[i % 2], "age": "newborn"}) for i in range(24)
    ]
    after = pin_images(pins, [*entries, *new], asked((*AGES, "newborn")))
    assert after.version == 2
    assert after.changed is not None
    assert after.changed["new_classes"] == ["age: newborn"]
    added = [pin for pin in after.of_task("age").test if pin.label == "newborn"]
    assert added
    assert {pin.since for pin in added} == {2}
    assert {pin.id for pin in added} <= {pin.id for pin in after.of_task("species").test}, "they judge their species, too"
    with pytest.raises(DataError, match="no pinned test image of age: newborn"):
        pin_images(after, entries, asked((*AGES, "newborn")))


def test_what_comes_later_judges_every_task_before_it_trains() -> None:
    entries = pets()
    pins = pin_images(None, entries, asked())
    known = frozenset(short(each.id) for each in entries)
    later = [replace(each, id=f"{number:040x}", path=f"later{number}") for number, each in enumerate(pets(60))]
    after = pin_images(pins, [*entries, *later], asked(), known=known, share=0.5)
    assert after.fresh
    assert all(dict(pin.tasks) for pin in after.fresh)
    assert {pin.id for pin in after.of_task("age").fresh} < {pin.id for pin in after.fresh}
    one_task = [replace(each, tasks={"species": each.tasks["species"]}) for each in later if "species" in each.tasks]
    waiting = pin_images(pins, [*entries, *one_task], asked(), known=known, share=0.5)
    assert pin_images(waiting, [*entries, *one_task], asked(), renew=True).version == 1, "none of them has an age"
    assert pin_images(after, [*entries, *later], asked(), renew=True).version == 2
