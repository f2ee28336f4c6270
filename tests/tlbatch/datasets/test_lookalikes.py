"""Class names equal to the eye are one sentence with counts; what it says to write merges them, everywhere.

Breaks when a kind of likeness goes from ``look_of`` or aliases are applied to only one of folders, CSV and corrections.
"""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbatch.datasets.inventory import list_dataset
from tlbatch.datasets.lookalikes import look_of
from tlbatch.datasets.relabelling import plan_relabelling
from tlbatch.errors import DataError, StudyError
from tlbatch.init import starter_study
from tlbatch.planning.resolve import document_of
from tlbatch.schema.writing import yaml_text
from tlbatch.schema.yamltree import read_tree
from tlbatch.spec import parse_study
from tlbatch.spec.dataset import Dataset
from tlbatch.store.directory import DirectoryStore

ALIKE = [
    ("cat", "cat "),
    ("cat", "Cat"),
    ("cat", " CAT"),
    ("cat", "cat\u00a0"),
    ("cat", "c\u200bat"),
    ("cat", "cat\u2060"),
    ("cat", "cat."),
    ("cat", "c\u0430t"),
    ("big cat", "big  cat"),
    ("big cat", "big\u3000cat"),
    ("k\u00e4tzchen", "ka\u0308tzchen"),
    ("fish", "\ufb01sh"),
    ("cat", "\uff43\uff41\uff54"),
    ("STRASSE", "straße"),
    ("a-b", "a\u2013b"),
]


def fill(root: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.jpg").write_bytes(f"{name}{number}".encode())
    return root


def dataset(url: Path, **settings: Any) -> Dataset:
    return Dataset.model_validate_json(json.dumps({"url": str(url), **settings}))


def hinted(sentence: str) -> Any:
    """The aliases a sentence says to write, read as a study's YAML is."""
    tree = read_tree(re.search(r"aliases: (\{.*?\}) merges", sentence).group(1), "hint")  # type: ignore[union-attr]
    assert not tree.mistakes
    return tree.value


@pytest.mark.parametrize(("one", "other"), ALIKE, ids=[repr(pair) for pair in ALIKE])
def test_look_alikes_are_refused_and_the_hint_merges_them(one: str, other: str, tmp_path: Path) -> None:
    root = fill(tmp_path / "pets", {one: 3, other: 2, "dog": 4})
    with pytest.raises(DataError, match=r"\(3 files\) and .*\(2 files\) look alike") as raised:
        list_dataset(dataset(root))
    aliases = hinted(str(raised.value))
    assert aliases == {other: one}
    merged = list_dataset(dataset(root, aliases=aliases))
    assert {file.label for file in merged.files} == {one, "dog"}
    assert len(merged.files) == 9
    assert parse_study(starter_study(root)).study.dataset.aliases == aliases
    apart = list_dataset(dataset(root, classes=[one, other, "dog"]))
    assert len(apart.classes) == 3


@pytest.mark.parametrize(
    "pair", [("a", "b"), ("e", "é"), ("1", "l"), ("0", "O"), ("cat", "cats"), ("a_b", "a b"), ("が", "か")]
)
def test_names_that_differ_to_the_eye(pair: tuple[str, str]) -> None:
    assert look_of(pair[0]) != look_of(pair[1])


@given(st.text(max_size=12))
def test_looks_are_resolved(name: str) -> None:
    assert look_of(name) == look_of(look_of(name))
    for form in ("NFC", "NFD", "NFKC"):
        assert look_of(unicodedata.normalize(form, name)) == look_of(name)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12), st.booleans())
def test_what_is_written_reads_back(text: str, visible: bool) -> None:
    tree = read_tree(f"x: {yaml_text(text, visible=visible)}", "t", environ={})
    assert not tree.mistakes
    assert tree.value == {"x": text}


def test_labels_of_a_csv(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    (tmp_path / "labels.csv").write_text("id,label\na,cat\nb,Cat\nc,dog\n")
    labels = {"csv": "labels.csv"}
    with pytest.raises(DataError, match="look alike") as raised:
        list_dataset(dataset(tmp_path, labels=labels))
    assert list_dataset(dataset(tmp_path, labels=labels, aliases=hinted(str(raised.value)))).classes in (
        ("Cat", "dog"),
        ("cat", "dog"),
    )


STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: pets, aliases: {Cat: cat}}
runs: [{name: cnn, model: {scratch: {}}}]
"""


def test_relabelling_speaks_of_merged_classes(tmp_path: Path) -> None:
    fill(tmp_path / "pets", {"cat": 2, "Cat": 2, "dog": 2})
    study = parse_study(STUDY, folder=tmp_path).study
    store = DirectoryStore(tmp_path / "store")
    planned, _ = plan_relabelling(study, store, b"path,label\ndog/0.jpg,Cat\nCat/1.jpg,cat\n", "x.csv")
    assert [(change.path, change.before, change.after) for change in planned.changes] == [("dog/0.jpg", "dog", "cat")]
    with pytest.raises(StudyError, match="'cta' is no class"):
        plan_relabelling(study, store, b"path,label\ndog/0.jpg,cta\n", "x.csv")


def test_aliases_that_cannot_be(tmp_path: Path) -> None:
    for aliases, said in {
        "{a: b, b: c}": "'b' is merged into 'c' itself",
        "{a: a}": "is merged into itself",
        "{a: ' '}": "names no class",
        "{a: 1}": 'put it in quotes: "1"',
    }.items():
        with pytest.raises(StudyError, match=re.escape(said)):
            parse_study(STUDY.replace("{Cat: cat}", aliases))
    with pytest.raises(StudyError, match=r"dataset.classes names both"):
        parse_study(STUDY.replace("aliases: {Cat: cat}", "aliases: {Cat: cat}, classes: [Cat, dog]"))


def test_a_study_without_the_new_fields_has_the_keys_it_had(tmp_path: Path) -> None:
    """Neither field is in what keys are made of unless it is written, and where links are followed never is."""
    fill(tmp_path / "pets", {"cat": 2, "dog": 2})
    plain = parse_study(STUDY.replace(", aliases: {Cat: cat}", ""), folder=tmp_path)
    linked = parse_study(STUDY.replace("aliases: {Cat: cat}", "follow_links: true"), folder=tmp_path)
    assert document_of(plain) == document_of(linked)
    assert "aliases" not in json.dumps(document_of(plain))
    assert list_dataset(plain.study.dataset).digest == list_dataset(linked.study.dataset).digest
