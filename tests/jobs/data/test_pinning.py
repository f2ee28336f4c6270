"""Pins: the study's split once, then the same lists, whatever is added; versions of the test set; nothing like a pin trains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jobs.data.index import IndexEntry
from jobs.data.pinning import pin_images, sentence_of
from jobs.data.pins import Pin, Pins
from jobs.data.split import Split, split_index
from tests.jobs.data.test_split import animals, assert_disjoint, entry, ids, labels, settings
from tlbatch.errors import DataError

COUNTS = settings(train=20, validation=10, test=10)


def pinned(parts: tuple[Pin, ...]) -> set[str]:
    return {pin.id for pin in parts}


def split_of(entries: list[IndexEntry], pins: Pins, **given: Any) -> Split:
    split = split_index(entries, {**COUNTS, "classes": list(pins.classes), **given}, pins=pins)
    assert_disjoint(split)
    assert ids(split.test) == pinned(pins.test)
    assert ids(split.validation) == pinned(pins.validation)
    return split


def test_the_first_pins_are_the_studys_split() -> None:
    images = animals(20, 20)
    pins, split = pin_images(None, images, COUNTS), split_index(images, COUNTS)
    assert pins.version == 1
    assert pins.changed is None
    assert (pinned(pins.test), pinned(pins.validation)) == (ids(split.test), ids(split.validation))
    assert split_of(images, pins) == replace(split, left_out=())


def test_later_images_all_train_and_the_pins_stay_equal() -> None:
    pins = pin_images(None, animals(20, 20), COUNTS)
    more = [*animals(20, 20), *(entry(f"later{i}", "cat") for i in range(7))]
    assert pin_images(pins, more, COUNTS) == pins
    split = split_of(more, pins)
    assert len(split.train) == 27  # the 20 of the study are a minimum
    assert split.left_out == ()


def test_another_seed_or_other_amounts_move_no_pin() -> None:
    images = animals(40, 40)
    pins = pin_images(None, images, COUNTS)
    assert pin_images(pins, images, settings(train=20, validation=20, test=20, seed=7)) == pins


def test_copies_of_pinned_images_do_not_train_and_are_listed() -> None:
    images = animals(20, 20)
    pins = pin_images(None, images, COUNTS)
    test, validation = pins.test[0], pins.validation[0]
    images = [replace(image, dup="near") if image.id == test.id else image for image in images]
    near = entry("near", test.label, dup="near")
    of_near = entry("nearer", test.label, dup="near")
    exact = replace(next(image for image in images if image.id == validation.id), path=f"{validation.label}/again.jpg")
    split = split_of([*images, near, of_near, exact], pins)
    reasons = {item.path: reason for item, reason in split.left_out}
    assert reasons == {
        near.path: "a copy of a pinned test image, or of one group with it",
        of_near.path: "a copy of a pinned test image, or of one group with it",
        max(exact.path, validation.path): "a copy of a pinned validation image, or of one group with it",
    }
    assert len(split.train) == 20


def test_a_group_of_which_an_image_is_pinned_trains_no_more() -> None:
    images = animals(20, 20)
    pins = pin_images(None, images, COUNTS)
    images = [replace(image, group="p1") if image.id == pins.test[0].id else image for image in images]
    split = split_of([*images, entry("sibling", "cat", group="p1")], pins)
    assert [item.path for item, _ in split.left_out] == ["cat/sibling.jpg"]


def test_a_training_image_leaves_when_a_later_one_shows_it_is_a_copy() -> None:
    """Near copies are joined through others: training image – later image – test image."""
    images = animals(20, 20)
    pins = pin_images(None, images, COUNTS)
    trained = split_of(images, pins).train[0]
    joined = {trained.id, pins.test[0].id}
    images = [replace(image, dup="d") if image.id in joined else image for image in images]
    split = split_of([*images, entry("between", "cat", dup="d")], pins)
    assert {item.id for item, _ in split.left_out} == {trained.id, entry("between", "cat").id}


def test_a_picture_with_two_labels_is_not_pinned() -> None:
    images = animals(20, 20)
    drawn = split_index(images, COUNTS).test[0]
    other = replace(drawn, label="dog" if drawn.label == "cat" else "cat", path="elsewhere.jpg")
    pins = pin_images(None, [*images, other], COUNTS)
    assert drawn.id not in pinned(pins.test) | pinned(pins.validation)


def relabelled(images: list[IndexEntry], pin: Pin, label: str) -> list[IndexEntry]:
    return [replace(image, label=label) if image.id == pin.id else image for image in images]


def test_a_corrected_test_label_starts_a_version() -> None:
    images = animals(20, 20)
    pins = pin_images(None, images, COUNTS)
    cat = next(pin for pin in pins.test if pin.label == "cat")
    images = relabelled(images, cat, "dog")
    after = pin_images(pins, images, COUNTS)
    assert after.version == 2
    assert after.changed == {
        "removed": [],
        "relabelled": [{"path": cat.path, "before": "cat", "after": "dog"}],
        "new_classes": [],
    }
    assert next(pin for pin in after.test if pin.id == cat.id) == replace(cat, label="dog", since=2)
    assert labels(split_of(images, after).test) == {"cat": 4, "dog": 6}
    assert pin_images(after, images, COUNTS) == after  # the next night: the same file
    assert "1 label corrected (cat/" in sentence_of(after)


def test_a_removed_test_image_starts_a_version() -> None:
    images = animals(20, 20)
    pins = pin_images(None, images, COUNTS)
    images = [image for image in images if image.id != pins.test[3].id]
    after = pin_images(pins, images, COUNTS)
    assert (after.version, len(after.test)) == (2, 9)
    assert after.changed == {"removed": [pins.test[3].path], "relabelled": [], "new_classes": []}
    assert after.validation == pins.validation
    split_of(images, after)


def test_validation_may_change_without_a_new_version() -> None:
    images = animals(20, 20)
    pins = pin_images(None, images, COUNTS)
    gone, corrected = pins.validation[0], pins.validation[1]
    images = relabelled([image for image in images if image.id != gone.id], corrected, "dog")
    after = pin_images(pins, images, COUNTS)
    assert (after.version, after.test, len(after.validation)) == (1, pins.test, 9)
    assert next(pin for pin in after.validation if pin.id == corrected.id).label == "dog"
    split_of(images, after)


def test_a_renamed_file_is_the_same_image() -> None:
    images = animals(20, 20)
    pins = pin_images(None, images, COUNTS)
    moved = [replace(image, path=f"moved/{image.path}") for image in images]
    assert pin_images(pins, moved, COUNTS) == pins
    split_of(moved, pins)


def test_another_label_of_a_later_copy_changes_no_pin() -> None:
    images = animals(20, 20)
    pins = pin_images(None, images, COUNTS)
    cat = next(pin for pin in pins.test if pin.label == "cat")
    doubtful = replace(next(image for image in images if image.id == cat.id), label="dog", path="dog/0.jpg")
    assert pin_images(pins, [*images, doubtful], COUNTS) == pins
    assert {item.path for item, _ in split_of([*images, doubtful], pins).left_out} == {"dog/0.jpg"}


@pytest.mark.parametrize("split", [COUNTS, settings(validation=0.25, test=0.25)], ids=["counts", "fractions"])
def test_a_new_class_gets_its_share(split: dict[str, Any]) -> None:
    images = animals(20, 20)
    pins = pin_images(None, images, split)
    images += [entry(f"cow{i}", "cow") for i in range(20)]
    after = pin_images(pins, images, {**split, "classes": ["cat", "dog", "cow"]})
    assert after.version == 2
    assert after.changed == {"removed": [], "relabelled": [], "new_classes": ["cow"]}
    cows = [pin for pin in after.test if pin.label == "cow"]
    assert {pin.since for pin in cows} == {2}
    fresh = split_index(images, {**split, "classes": ["cat", "dog", "cow"]})
    assert len(cows) == labels(fresh.test)["cow"]
    assert sum(pin.label == "cow" for pin in after.validation) == labels(fresh.validation)["cow"]
    assert [pin for pin in after.test if pin.label != "cow"] == list(pins.test)
    assert labels(split_of(images, after).train)["cow"] == 20 - len(cows) - labels(fresh.validation)["cow"]


def test_what_a_champion_got_a_new_class_from_judges_nobody() -> None:
    """Nor do copies of it. Fails when the share of a new class is drawn from all its images."""
    images = animals(20, 20)
    pins = pin_images(None, images, COUNTS)
    cows = [entry(f"cow{i}", "cow") for i in range(20)]
    cows[1:3] = [replace(cow, dup="near") for cow in cows[1:3]]
    three = {**COUNTS, "classes": ["cat", "dog", "cow"]}
    without = pin_images(pins, [*images, *cows], three)
    learnt = frozenset(cow.id for cow in cows[1:12])
    assert learnt & {pin.id for pin in (*without.test, *without.validation)}
    after = pin_images(pins, [*images, *cows], three, learnt=learnt - {cows[2].id})
    held = {pin.id for pin in (*after.test, *after.validation) if pin.label == "cow"}
    assert held
    assert not held & learnt
    assert [pin for pin in after.test if pin.label != "cow"] == list(pins.test)


def test_a_class_that_goes_takes_its_test_images_along() -> None:
    images = [*animals(20, 20), *(entry(f"cow{i}", "cow") for i in range(20))]
    three = {**COUNTS, "classes": ["cat", "dog", "cow"]}
    pins = pin_images(None, images, three)
    after = pin_images(pins, images, {**three, "classes": ["cat", "dog"]})
    assert after.version == 2
    assert {pin.label for pin in after.test} == {"cat", "dog"}
    assert after.changed is not None
    assert after.changed["removed"] == sorted(pin.path for pin in pins.test if pin.label == "cow")


def test_a_class_without_any_test_image_left_is_refused_with_what_to_do() -> None:
    images = animals(20, 20)
    pins = pin_images(None, images, COUNTS)
    gone = {pin.id for pin in pins.test if pin.label == "cat"}
    with pytest.raises(DataError, match="no pinned test image of cat: put images back"):
        pin_images(pins, [image for image in images if image.id not in gone], COUNTS)


def test_pins_of_another_dataset_are_refused() -> None:
    pins = pin_images(None, animals(20, 20), COUNTS)
    with pytest.raises(DataError, match="pinned images are not in the dataset"):
        split_index(animals(5, 5), COUNTS, pins=pins)


def test_folds_are_of_all_that_is_not_test() -> None:
    images, split = animals(24, 24), settings(train=None, test=8, folds=4)
    pins = pin_images(None, images, split)
    assert pins.validation == ()
    more = [*images, *(entry(f"later{i}", "dog") for i in range(8))]
    divided = split_index(more, split, pins=pins)
    assert ids(divided.test) == pinned(pins.test)
    assert sum(len(fold) for fold in divided.folds) == len(divided.train) == 48
    assert sorted(len(fold) for fold in divided.folds) == [12, 12, 12, 12]


def test_seeds_that_redraw_keep_to_their_amount_and_to_the_pins() -> None:
    images = animals(50, 50)
    pins = pin_images(None, images, COUNTS)
    more = [*images, *(entry(f"later{i}", "cat") for i in range(30))]
    draws = [split_index(more, COUNTS, seed_redraw=seed, pins=pins) for seed in (0, 1)]
    assert [len(split.train) for split in draws] == [20, 20]
    assert ids(draws[0].train) != ids(draws[1].train)
    for split in draws:
        assert ids(split.test) == pinned(pins.test)
        assert_disjoint(split)


def ready_made(number: int, label: str, part: str) -> IndexEntry:
    return entry(f"{part}{label}{number}", label, part=part, path=f"{part}/{label}/{number}.jpg")


def test_ready_made_parts_are_pinned_as_they_are_and_later_test_images_never_train() -> None:
    made = [
        ready_made(n, c, p) for p, k in (("train", 9), ("validation", 3), ("test", 4)) for n in range(k) for c in ("cat", "dog")
    ]
    pins = pin_images(None, made, settings())
    assert {pin.path.split("/")[0] for pin in pins.test} == {"test"}
    assert (len(pins.test), len(pins.validation)) == (8, 6)
    later = [ready_made(99, "cat", "test"), ready_made(99, "dog", "train"), entry("stray", "cat")]
    assert pin_images(pins, [*made, *later], settings()) == pins
    split = split_index([*made, *later], settings(), pins=pins)
    assert {item.path: reason for item, reason in split.left_out} == {
        later[0].path: "in test, but not among its pinned images",
        later[2].path: "the data names no part for it",
    }
    assert len(split.train) == 19
    new = [ready_made(n, "cow", part) for part in ("train", "validation", "test") for n in range(2)]
    after = pin_images(pins, [*made, *new], settings(classes=["cat", "dog", "cow"]))
    assert sorted(pin.path for pin in after.test if pin.label == "cow") == ["test/cow/0.jpg", "test/cow/1.jpg"]


def test_a_version_is_as_worn_as_its_images() -> None:
    images = animals(20, 20)
    pins = pin_images(None, images, COUNTS)
    assert (pins.served({}), pins.served({"1": 4})) == (0, 4)
    after = pin_images(pins, [image for image in images if image.id != pins.test[0].id], COUNTS)
    assert after.served({"1": 4, "2": 1}) == 5  # a new version of old images starts no new count
    fresh = Pins(2, ("cat",), (), tuple(replace(pin, since=2) for pin in pins.test))
    assert fresh.served({"1": 4, "2": 1}) == 1
    half = Pins(2, ("cat",), (), tuple(replace(pin, since=1 + place % 2) for place, pin in enumerate(pins.test)))
    assert half.served({"1": 4, "2": 1}) == 3


def test_pins_read_back_are_the_same() -> None:
    pins = pin_images(None, animals(20, 20), COUNTS)
    assert Pins.from_json({**pins.to_json(), "sentence": "", "of tomorrow": 1}) == pins
