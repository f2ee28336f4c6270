"""Splits: exact, stratified, disjoint by content, independent of names and order."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from typing import Any

import pytest

from jobs.data.index import IndexEntry
from jobs.data.split import Split, split_index
from jobs.data.split_groups import apportion
from tlbatch.errors import DataError


def entry(name: str, label: str, **other: Any) -> IndexEntry:
    digest = hashlib.sha256(name.encode()).hexdigest()[:40]
    values: dict[str, Any] = {
        "id": digest,
        "path": f"{label}/{name}.jpg",
        "label": label,
        "part": None,
        "group": None,
        "dup": None,
    }
    return IndexEntry(**{**values, "shard": "shards/00.tar", "offset": 512, "size": 1, "format": "jpg", **other})


def animals(cats: int, dogs: int) -> list[IndexEntry]:
    return [entry(f"cat{i}", "cat") for i in range(cats)] + [entry(f"dog{i}", "dog") for i in range(dogs)]


def settings(**given: Any) -> dict[str, Any]:
    return {"train": None, "validation": 0.15, "test": 0.15, "seed": 42, "folds": None, "classes": ["cat", "dog"], **given}


def labels(entries: tuple[IndexEntry, ...]) -> dict[str, int]:
    return dict(Counter(item.label for item in entries))


def ids(entries: tuple[IndexEntry, ...]) -> set[str]:
    return {item.id for item in entries}


def assert_disjoint(split: Split) -> None:
    assert not (ids(split.train) & ids(split.test))
    assert not (ids(split.train) & ids(split.validation))
    assert not ids(split.validation) & ids(split.test)


def test_counts_are_exact_and_stratified() -> None:
    split = split_index(animals(2500, 2500), settings(train=3000, validation=1000, test=1000))
    assert [labels(part) for part in (split.train, split.validation, split.test)] == [
        {"cat": 1500, "dog": 1500},
        {"cat": 500, "dog": 500},
        {"cat": 500, "dog": 500},
    ]
    assert_disjoint(split)
    assert split.left_out == ()


def test_fractions_of_unequal_classes_use_every_image() -> None:
    split = split_index(animals(67, 34), settings(train=0.7))
    assert [len(part) for part in (split.train, split.validation, split.test)] == [71, 15, 15]
    assert labels(split.test) == {"cat": 10, "dog": 5}


def test_images_beyond_the_counts_are_left_out_with_a_reason() -> None:
    split = split_index(animals(50, 50), settings(train=20, validation=10, test=10))
    assert len(split.left_out) == 60
    assert split.left_out[0][1] == "more than the study asks for"


def test_order_and_names_of_files_do_not_matter() -> None:
    images = animals(40, 40)
    shuffled = [IndexEntry(**{**as_dict(item), "path": f"x{i}"}) for i, item in enumerate(images)]
    random.Random(0).shuffle(shuffled)
    one, other = split_index(images, settings(train=30)), split_index(shuffled, settings(train=30))
    assert [item.id for item in one.train] == [item.id for item in other.train]
    assert [item.id for item in one.test] == [item.id for item in other.test]


def as_dict(item: IndexEntry) -> dict[str, Any]:
    return {name: getattr(item, name) for name in IndexEntry.__dataclass_fields__}


def test_another_seed_is_another_split_and_an_image_more_moves_few() -> None:
    images = animals(200, 200)
    split = split_index(images, settings())
    assert ids(split_index(images, settings(seed=1)).test) != ids(split.test)
    more = split_index([*images, entry("new", "cat")], settings())
    assert len(ids(more.test) ^ ids(split.test)) <= 4


def test_fewer_training_images_are_among_the_more() -> None:
    few = split_index(animals(200, 200), settings(train=40, validation=60, test=60))
    many = split_index(animals(200, 200), settings(train=120, validation=60, test=60))
    assert ids(few.train) < ids(many.train)


def test_redrawing_keeps_validation_and_test() -> None:
    images = animals(100, 100)
    splits = [split_index(images, settings(train=40, validation=30, test=30), seed_redraw=i) for i in (None, 0, 1)]
    assert len({frozenset(ids(split.test)) for split in splits}) == 1
    assert len({frozenset(ids(split.validation)) for split in splits}) == 1
    assert len({frozenset(ids(split.train)) for split in splits}) == 3
    for split in splits:
        assert labels(split.train) == {"cat": 20, "dog": 20}
        assert_disjoint(split)


@pytest.mark.promise(5)
def test_copies_stay_together_and_counts_stay_exact() -> None:
    """Fails when a group of near copies does not make a unit."""
    images = animals(100, 100)
    images += [entry(f"cat{i}", "cat", path=f"again/{i}.jpg") for i in range(10)]
    images += [entry(f"copy{i}", "dog", dup=f"d{i}") for i in range(10)]
    images = [IndexEntry(**{**as_dict(item), "dup": f"d{item.path[7:-4]}"}) if is_copied(item) else item for item in images]
    split = split_index(images, settings(train=140, validation=40, test=40))
    assert [len(part) for part in (split.train, split.validation, split.test)] == [140, 40, 40]
    assert_disjoint(split)
    for parts in ((split.train, split.validation), (split.train, split.test), (split.validation, split.test)):
        assert not {item.dup for item in parts[0] if item.dup} & {item.dup for item in parts[1] if item.dup}
    assert any(item.dup for item in split.test), "copies are tested too, not all put into training"


@pytest.mark.promise(5)
@pytest.mark.parametrize("seed", range(6))
def test_one_picture_in_many_files_is_in_one_part(seed: int) -> None:
    """By content, not by name. Fails when equal content does not make a unit."""
    images = [*animals(40, 40), *(entry("many", "cat", path=f"many/{i}.jpg") for i in range(30))]
    assert_disjoint(split_index(images, settings(seed=seed)))


def is_copied(item: IndexEntry) -> bool:
    return item.path in {f"dog/dog{i}.jpg" for i in range(10)}


@pytest.mark.promise(5)
def test_groups_stay_together_when_every_image_has_one() -> None:
    """Fails when the study's own groups make no units."""
    images = [entry(f"{label}{i}", label, group=f"{label}-{i // 7}") for label in ("cat", "dog") for i in range(140)]
    split = split_index(images, settings())
    parts = (split.train, split.validation, split.test)
    groups = [{item.group for item in part} for part in parts]
    assert not (groups[0] & groups[1])
    assert not (groups[0] & groups[2])
    assert not (groups[1] & groups[2])
    assert sum(map(len, parts)) == 280
    assert len(split.test) == pytest.approx(42, abs=14)


def test_a_group_of_two_classes_stays_together() -> None:
    images = [*animals(30, 30), entry("both1", "cat", group="g"), entry("both2", "dog", group="g")]
    split = split_index(images, settings(train=40, validation=10, test=12))
    homes = [part for part in (split.train, split.validation, split.test) if any(item.group for item in part)]
    assert len(homes) == 1
    assert [len(part) for part in (split.train, split.validation, split.test)] == [40, 10, 12]


def test_folds_part_the_training_images() -> None:
    images = animals(30, 25) + [entry(f"m{i}", "cat", dup="m") for i in range(3)]
    split = split_index(images, settings(folds=5, train=None, test=8))
    assert (len(split.train), len(split.validation), len(split.test)) == (50, 0, 8)
    held = [item.path for i in range(5) for item in split.fold(i)[1]]
    assert sorted(held) == sorted(item.path for item in split.train)
    for i in range(5):
        training, validation = split.fold(i)
        assert len(training) + len(validation) == 50
        assert not ids(training) & ids(validation)
        assert abs(labels(validation)["cat"] - 5) <= 2
    assert sum(any(item.dup for item in split.fold(i)[1]) for i in range(5)) <= 1


def test_ready_made_parts_and_a_leak_between_them() -> None:
    images = [
        entry(f"{part}{label}{i}", label, part=part)
        for part in ("train", "test")
        for label in ("cat", "dog")
        for i in range(20)
    ]
    images += [entry("testcat3", "cat", part="train", path="train/leak.jpg"), entry("lost", "dog")]
    split = split_index(images, settings(validation=0.25))
    assert len(split.test) == 40
    assert (len(split.train), len(split.validation)) == (30, 10)
    assert_disjoint(split)
    assert {(item.path, why) for item, why in split.left_out} == {
        ("train/leak.jpg", "in train, but a copy or its group is in test"),
        ("dog/lost.jpg", "the data names no part for it"),
    }


def test_only_the_classes_of_the_study_are_used() -> None:
    split = split_index([*animals(20, 20), entry("cow", "cow")], settings())
    assert all(item.label != "cow" for item in (*split.train, *split.validation, *split.test))


@pytest.mark.parametrize(
    ("images", "given", "sentence"),
    [
        (animals(10, 10), {"train": 15, "validation": 3, "test": 3}, "asks for 15 training, 3 validation and 3 test .* 20 are"),
        (animals(20, 1), {}, "no t.* image of dog"),
        (animals(20, 0), {}, "no train image of dog"),
        ([entry("cow", "cow")], {}, "no usable image of the classes cat, dog"),
        (animals(3, 3), {"folds": 5, "test": 2}, "5 folds need at least 5"),
    ],
)
def test_impossible_splits_are_sentences(images: list[IndexEntry], given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        split_index(images, settings(**given))


def test_shares_add_up_and_no_class_goes_empty() -> None:
    assert apportion(10, {"a": 1000, "b": 10, "c": 3}) == {"a": 8, "b": 1, "c": 1}
    assert apportion(3, {"a": 1, "b": 1, "c": 1}) == {"a": 1, "b": 1, "c": 1}
    assert apportion(0, {"a": 5}) == {"a": 0}
    with pytest.raises(ValueError, match="6 of 5"):
        apportion(6, {"a": 5})
