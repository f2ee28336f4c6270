"""Folders called like parts are no classes unless ``dataset.classes`` says so, whatever they are called; what is said works.

Breaks when a list of exact names takes the place of ``kind_of_part``, or the check goes from ``list_dataset``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tlbatch.datasets.inventory import list_dataset
from tlbatch.datasets.layout import layout_of
from tlbatch.datasets.partnames import assigned_parts, kind_of_part
from tlbatch.errors import DataError, StudyError
from tlbatch.init import starter_study
from tlbatch.spec import parse_study
from tlbatch.spec.dataset import Dataset, Split


def fill(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


def divided(root: Path, *parts: str) -> Path:
    return fill(root, *(f"{part}/{label}/{number}.jpg" for part in parts for label in ("cat", "dog") for number in (1, 2)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "train") for name in ("train", "Training", "TRAIN", "training_set", "train2017", "images-train", "Train Set")),
        *((name, "validation") for name in ("val", "valid", "validation", "dev", "VAL", "valset", "val_images", "Validation1")),
        *((name, "test") for name in ("test", "Testing", "test_set", "testset", "test data", " test", "ｔｅｓｔ")),
        *((name, "either") for name in ("eval", "holdout", "hold-out", "hold_out", "Evaluation", "held out")),
        *((name, None) for name in ("cat", "trainers", "invalid", "contest", "testudo", "device", "0", "data", "été")),
        *((name, None) for name in ("train station", "test tube", "latest", "té st", "valley", "set", "")),
    ],
)
def test_names_of_parts(name: str, kind: str | None) -> None:
    assert kind_of_part(name) == kind


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("train", "val"), {"train": "train", "test": "val"}),
        (("Train", "Valid", "Test"), {"train": "Train", "validation": "Valid", "test": "Test"}),
        (("training_set", "test_set"), {"train": "training_set", "test": "test_set"}),
        (("train", "eval", "test"), {"train": "train", "validation": "eval", "test": "test"}),
        (("train", "dev", "holdout"), {"train": "train", "validation": "dev", "test": "holdout"}),
        (("train", "val", "dev", "test"), {"train": "train", "validation": "val", "test": "test"}),
        (("val", "test"), {}),
        (("train",), {}),
    ],
)
def test_which_folder_is_which_part(names: tuple[str, ...], parts: dict[str, str]) -> None:
    assert assigned_parts(names) == parts


@pytest.mark.parametrize(
    "parts",
    [("train", "val"), ("Train", "TEST"), ("training_set", "test_set"), ("train", "validation", "test"), ("train", "holdout")],
)
def test_parts_are_proposed_refused_and_what_is_said_works(parts: tuple[str, ...], tmp_path: Path) -> None:
    divided(tmp_path, *parts)
    study = parse_study(starter_study(tmp_path)).study
    assert set((study.dataset.split.folders or {}).values()) == set(parts)
    listing = list_dataset(study.dataset)
    assert listing.classes == ("cat", "dog")
    with pytest.raises(StudyError, match="not of classes") as raised:
        list_dataset(Dataset(url=str(tmp_path)))
    folders = yaml.safe_load(re.search(r"split: (\{.*\})", str(raised.value)).group(1))["folders"]  # type: ignore[union-attr]
    said = list_dataset(Dataset(url=str(tmp_path), split=Split(folders=folders)))
    assert [(file.path, file.part) for file in said.files] == [(file.path, file.part) for file in listing.files]


def test_a_part_beside_classes_is_left_out_or_made_a_class_by_naming_all(tmp_path: Path) -> None:
    fill(tmp_path, "cat/1.jpg", "dog/1.jpg", "test/1.jpg", "test/2.jpg")
    with pytest.raises(StudyError, match="'test' is the name of a part") as raised:
        list_dataset(Dataset(url=str(tmp_path)))
    without, every = (yaml.safe_load(text) for text in re.findall(r"dataset\.classes: (\[[^]]*\])", str(raised.value)))
    assert list_dataset(Dataset(url=str(tmp_path), classes=tuple(without))).classes == ("cat", "dog")
    listing = list_dataset(Dataset(url=str(tmp_path), classes=tuple(every)))
    assert (listing.classes, len(listing.files)) == (("cat", "dog", "test"), 4)
    text = starter_study(tmp_path)
    assert parse_study(text).study.dataset.classes == ("cat", "dog")
    assert "left out: test" in text


def test_train_alone_or_a_folder_around_all(tmp_path: Path) -> None:
    for name, part in {"alone": "train", "zip": "photos", "deep": "a/b"}.items():
        root = fill(tmp_path / name, *(f"{part}/{label}/{number}.jpg" for label in ("cat", "dog") for number in (1, 2)))
        assert parse_study(starter_study(root)).study.dataset.url == str(root / part)
        with pytest.raises((StudyError, DataError)) as raised:
            list_dataset(Dataset(url=str(root)))
        assert part in str(raised.value)
        assert "dataset.url" in str(raised.value)
    root = divided(tmp_path / "around" / "data", "train", "test").parent
    dataset = parse_study(starter_study(root)).study.dataset
    assert (dataset.url, dataset.split.folders) == (str(root / "data"), {"train": "train", "test": "test"})
    with pytest.raises(
        DataError, match=r"add /data to dataset.url, with dataset.split: \{folders: \{train: train, test: test\}\}"
    ):
        list_dataset(Dataset(url=str(root)))


def test_kaggle_s_test_folder_without_classes(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/1.jpg", "test/2.jpg")
    text = starter_study(tmp_path)
    assert parse_study(text).study.dataset.url == str(tmp_path / "train")
    assert "not in train, and left out: test" in text
    fill(tmp_path / "flat", "train/cat.1.jpg", "test/1.jpg")
    with pytest.raises(StudyError, match="CSV"):
        starter_study(tmp_path / "flat")


def test_parts_inside_of_classes_divide_nothing_and_that_is_said(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{label}/{part}/1.jpg" for label in ("cat", "dog") for part in ("train", "test")))
    listing = list_dataset(Dataset(url=str(tmp_path)))
    assert listing.classes == ("cat", "dog")
    assert listing.inner_parts == ("cat/test", "cat/train", "dog/test", "dog/train")
    assert list_dataset(Dataset(url=str(fill(tmp_path / "x", "cat/a/1.jpg", "dog/b/1.jpg")))).inner_parts == ()


def test_numbers_and_a_csv_are_left_alone(tmp_path: Path) -> None:
    digits = fill(tmp_path / "digits", *(f"{digit}/1.png" for digit in range(10)))
    assert list_dataset(Dataset(url=str(digits))).classes == tuple(str(digit) for digit in range(10))
    assert parse_study(starter_study(digits)).study.dataset.classes is None
    fill(tmp_path / "csv", "a.jpg", "b.jpg")
    (tmp_path / "csv/labels.csv").write_text("id,label\na,test\nb,train\n")
    dataset = Dataset.model_validate({"url": str(tmp_path / "csv"), "labels": {"csv": "labels.csv"}})
    assert list_dataset(dataset).classes == ("test", "train")  # a column says so, not a folder's name


def test_names_need_quotes_in_what_is_said(tmp_path: Path) -> None:
    fill(tmp_path, "001/1.jpg", "yes/1.jpg", 'a "b"/1.jpg', "test/1.jpg")
    with pytest.raises(StudyError) as raised:
        list_dataset(Dataset(url=str(tmp_path)))
    texts = re.findall(r"dataset\.classes: (\[[^]]*\])", str(raised.value))
    assert sorted(yaml.safe_load(texts[0])) == ["001", 'a "b"', "yes"]


def test_layouts_that_are_none() -> None:
    assert not layout_of([]).is_usable
    assert not layout_of(["a.jpg", "cat/1.jpg"]).is_usable
    assert layout_of(["a/b/c/cat/1.jpg", "a/b/c/dog/1.jpg"]).below == "a/b/c"
