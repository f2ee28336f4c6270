"""What of a source trains: never a picture that the target holds back, nor a copy of one; nothing tests."""

from __future__ import annotations

import random

import pytest

from jobs.data.source_split import HELD_BACK, split_source
from tests.jobs.data.test_split import animals, assert_disjoint, entry, ids, labels
from tlbatch.errors import DataError
from tlbatch.spec.dataset import SourceSplit

CLASSES = ["cat", "dog"]


def test_all_trains_unless_some_is_held_out() -> None:
    everything = split_source("films", animals(30, 10), SourceSplit(), CLASSES, ())
    assert (len(everything.train), everything.validation, everything.test) == (40, (), ())
    held = split_source("films", animals(30, 10), SourceSplit(validation=0.2), CLASSES, ())
    assert labels(held.validation) == {"cat": 6, "dog": 2}
    assert_disjoint(held)
    assert labels(split_source("films", animals(30, 10), SourceSplit(validation=4), CLASSES, ()).validation) == {
        "cat": 3,
        "dog": 1,
    }


def test_a_place_follows_from_content_and_seed() -> None:
    entries = animals(30, 30)
    first = split_source("films", entries, SourceSplit(validation=0.3), CLASSES, ())
    random.Random(0).shuffle(entries)
    assert split_source("films", entries, SourceSplit(validation=0.3), CLASSES, ()) == first
    assert split_source("films", entries, SourceSplit(validation=0.3, seed=1), CLASSES, ()) != first


@pytest.mark.promise(5)
def test_what_the_target_holds_back_does_not_train() -> None:
    """Nor what is a near copy of it or of one group with it. Fails when only its own name is left out."""
    groups = [entry("ada1", "cat", group="ada"), entry("ada2", "cat", group="ada")]
    copies = [entry("twin1", "dog", dup="x"), entry("twin2", "dog", dup="x")]
    held_back = {groups[0].id, copies[1].id, entry("cat3", "cat").id, entry("elsewhere", "cat").id}
    split = split_source("films", [*animals(10, 10), *groups, *copies], SourceSplit(validation=0.2), CLASSES, held_back)
    gone = {item.id for item, why in split.left_out if why == HELD_BACK}
    assert gone == {entry(name, "cat").id for name in ("ada1", "ada2", "twin1", "twin2", "cat3")}
    assert not gone & (ids(split.train) | ids(split.validation))


def test_its_own_test_part_is_not_read() -> None:
    parts = {"train": 10, "validation": 4, "test": 6}
    entries = [entry(f"{part}{label}{i}", label, part=part) for part, n in parts.items() for label in CLASSES for i in range(n)]
    split = split_source("films", [*entries, entry("loose", "cat")], SourceSplit(), CLASSES, ())
    assert (len(split.train), len(split.validation)) == (20, 8)
    assert {why for _, why in split.left_out} == {"in test, of which nothing is read", "the data names no part for it"}


def test_other_classes_are_no_part_of_it() -> None:
    split = split_source("films", [*animals(5, 5), entry("bird", "bird")], SourceSplit(), CLASSES, ())
    assert labels(split.train) == {"cat": 5, "dog": 5}


def test_a_class_of_which_nothing_trains_is_a_sentence() -> None:
    with pytest.raises(DataError, match=r"sources\.films: no image trains of dog"):
        split_source("films", animals(5, 1), SourceSplit(), CLASSES, {entry("dog0", "dog").id})
