"""Which rows a study with ``described`` has, and what keeps it from having any."""

from __future__ import annotations

import pytest

from tests.tlbatch.planning.test_make import OWN
from tlbatch.errors import StudyError
from tlbatch.planning.described import described_rows
from tlbatch.planning.resolved import ZeroLabel
from tlbatch.planning.runs import resolve_runs
from tlbatch.planning.weights import IMAGENET, ResolvedWeights
from tlbatch.spec import parse_study
from tlbatch.store import Store

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: by-text
dataset: {{url: images, split: {{train: 8, validation: 4, test: 4}}}}
runs: [{{name: one, model: {{backbone: efficientnet_lite0, weights: {weights}, head: {{logistic: {{}}}}}}}}]
described: {described}
"""
CLASSES = ("beagle", "quoll", "samoyed")
QUOLL = "texts: {quoll: small spotted marsupial}"


def rows(described: str, store: Store, classes: tuple[str, ...] = CLASSES, weights: str = "default") -> list[ZeroLabel]:
    study = parse_study(STUDY.format(described=described, weights=weights)).study
    kind = "named" if weights == "default" else "random"
    given = ResolvedWeights({"kind": kind}, None, OWN, trained_on=IMAGENET if kind == "named" else "")
    return described_rows(study, classes, resolve_runs(study, lambda run: given, "fp32"), store)


def test_a_class_without_outputs_is_unseen_and_the_others_are_not(directory_store: Store) -> None:
    [row] = rows(f"{{{QUOLL}}}", directory_store)
    assert row.name == "efficientnet-lite0-described"
    assert row.described is not None
    assert row.described.unseen == ("quoll",)
    assert set(row.mapping) == {"beagle", "samoyed"}


def test_classes_can_be_hidden_to_see_how_well_texts_do(directory_store: Store) -> None:
    [row] = rows(f"{{unseen: [beagle, quoll], {QUOLL}}}", directory_store)
    assert row.described is not None
    assert row.described.unseen == ("beagle", "quoll")
    assert "beagle" in row.mapping, "its outputs are named, so that they can be hidden"


def test_vectors_are_part_of_what_is_asked_by_their_hash(directory_store: Store, tmp_path: object) -> None:
    path = f"{tmp_path}/vectors.txt"
    found = []
    for text in ("small 1 0\n", "small 0 1\n"):
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(text)
        [row] = rows(f"{{vectors: {path}, {QUOLL}}}", directory_store)
        assert row.described is not None
        assert row.vectors == path
        found.append(row.described.vectors)
    assert None not in found
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("described", "classes", "weights", "sentence"),
    [
        ("{}", CLASSES, "default", "no output of a network of ImageNet means quoll: say in described.texts what it looks like"),
        ("{}", ("beagle", "samoyed"), "default", "name some in described.unseen, or leave it out"),
        ("{unseen: [beagel]}", ("beagle", "samoyed"), "default", "'beagel' is no class of the dataset.*'beagle'"),
        ("{unseen: [beagle]}", ("beagle", "samoyed"), "random", "no run has a backbone with published weights"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    described: str, classes: tuple[str, ...], weights: str, sentence: str, directory_store: Store
) -> None:
    with pytest.raises(StudyError, match=sentence):
        rows(described, directory_store, classes, weights)
