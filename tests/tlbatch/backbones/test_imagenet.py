"""Which of ImageNet's outputs mean a study's classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tlbatch.backbones.imagenet import GROUPS, class_mapping, classes


def indices(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


@pytest.mark.parametrize("names", [("cat", "dog"), ("Cats", "Dogs"), ("CAT", "dogs")])
def test_cats_and_dogs(names: tuple[str, str]) -> None:
    assert class_mapping(names) == {names[0]: indices(281, 285), names[1]: indices(151, 268)}


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("golden_retriever", 207),
        ("Shih-Tzu", 155),
        ("shih_tzu", 155),
        ("n02088364-beagle", 162),
        ("n02088364", 162),
        ("zebras", 340),
        ("African grey", 87),
        ("leonberg", 255),
    ],
)
def test_names_as_folders_are_called(name: str, index: int) -> None:
    assert class_mapping([name]) == {name: [index]}


def test_ten_breeds(shared_data: Callable[[str], Path]) -> None:
    names = sorted(path.name for path in shared_data("data/dog-breeds").iterdir())
    found = class_mapping(names)
    assert found is not None
    assert all(len(outputs) == 1 for outputs in found.values())
    assert found["samoyed"] == [258]


def test_other_classes_are_not_covered() -> None:
    for names in (["cat", "deer"], ["0", "1"], ["benign", "malignant"], [], ["n99999999"], ["s", "es"]):
        assert class_mapping(names) is None, names


def test_of_two_meanings_the_one_among_the_others() -> None:
    assert class_mapping(["cardigan", "pembroke"]) == {"cardigan": [264], "pembroke": [263]}
    assert class_mapping(["cardigan", "sweatshirt"]) == {"cardigan": [474], "sweatshirt": [841]}
    assert class_mapping(["crane"]) == {"crane": [134, 517]}


def test_a_class_within_another_has_its_outputs_to_itself() -> None:
    found = class_mapping(["dog", "beagle"])
    assert found is not None
    assert found["beagle"] == [162]
    assert len(found["dog"]) == 117
    assert class_mapping(["car", "automobile"]) is None  # two words for the same outputs
    assert class_mapping(["bird", "owl"]) is None


def test_groups_hold_what_they_say() -> None:
    """A spot check by names, and that indices and names are of one order."""
    assert len(classes()) == 1000
    by_word = {
        "dog": {"beagle", "Samoyed", "toy poodle", "Mexican hairless"},
        "cat": {"tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat"},
        "bird": {"ostrich", "hummingbird", "king penguin", "black swan", "pelican"},
        "snake": {"boa constrictor", "sidewinder", "hognose snake"},
        "truck": {"fire engine", "pickup", "trailer truck"},
        "butterfly": {"monarch", "admiral"},
        "wolf": {"timber wolf", "coyote"},
        "monkey": {"baboon", "spider monkey", "squirrel monkey"},
    }
    for word, names in by_word.items():
        within = {classes()[index][1][0] for index in GROUPS[word]}
        assert names <= within, word
        outside = {names[0] for i, (_, names) in enumerate(classes()) if i not in GROUPS[word]}
        assert not names & outside
    assert classes()[0][0] == "n01440764"
    assert sorted(number for number, _ in classes()) == [number for number, _ in classes()]
