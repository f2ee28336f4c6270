"""What `tlbatch init` writes loads without error, whatever the folder looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tlbatch.cli import main
from tlbatch.errors import StudyError
from tlbatch.init import starter_study, study_name
from tlbatch.spec import load_study, parse_study


def fill(folder: Path, **counts: int) -> Path:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number}.JPG").touch()
    return folder


def load(folder: Path | None):
    return parse_study(starter_study(folder), "starter.yaml").study


def test_without_a_folder():
    study = load(None)
    assert [run.name for run in study.runs] == ["features", "finetuned"]
    assert study.dataset.split.train == 0.7


def test_many_labels(tmp_path):
    text = starter_study(fill(tmp_path / "My Pets!", cat=300, dog=310))
    assert "# 610 files in 2 classes: cat 300, dog 310" in text
    study = parse_study(text).study
    assert study.name == "my-pets"
    assert study.dataset.url == str(tmp_path / "My Pets!")
    assert study.dataset.split.folds is None
    assert study.runs[1].train.class_weights == "none"


def test_few_labels_get_folds_and_uneven_classes_weights(tmp_path):
    study = load(fill(tmp_path, cat=100, dog=20))
    assert study.dataset.split.folds == 5
    assert study.runs[1].train.class_weights == "balanced"


def test_ready_made_parts(tmp_path):
    for part in ("train", "val", "test"):
        fill(tmp_path / part, cat=3, dog=3)
    assert load(tmp_path).dataset.split.folders == {"train": "train", "validation": "val", "test": "test"}


def test_class_folders_that_are_named_like_parts_of_speech(tmp_path):
    folder = fill(tmp_path / "a ${b}: 'c' \"d\" # ü", **{"no": 4, "x\ny": 4})
    (folder / "empty").mkdir()
    (folder / ".hidden").mkdir()
    text = starter_study(folder)
    assert "without images, and so no class: empty" in text
    assert parse_study(text).study.dataset.url == str(folder)


@pytest.mark.parametrize("counts", [{}, {"cat": 3}, {"cat": 3, "dog": 0}])
def test_folders_without_two_classes(tmp_path, counts):
    with pytest.raises(StudyError, match="at least two folders with images"):
        starter_study(fill(tmp_path, **counts))


def test_no_folder(tmp_path):
    with pytest.raises(StudyError, match="there is no such folder"):
        starter_study(tmp_path / "none")


@pytest.mark.parametrize(("text", "name"), [("A_b  C", "a-b-c"), ("---", "study"), ("x" * 60, "x" * 40), ("日本", "study")])
def test_study_names(text, name):
    assert study_name(text) == name


@pytest.mark.parametrize(
    ("study", "folder", "url"),
    [("study.yaml", "photos", "photos"), ("studies/a.yaml", "photos", "../photos"), ("photos/study.yaml", "photos", ".")],
)
def test_the_dataset_is_named_as_the_study_sees_it(tmp_path: Path, study: str, folder: str, url: str) -> None:
    """So that both can move together; `check` of what was written finds the images."""
    for label in ("a", "b"):
        (tmp_path / folder / label).mkdir(parents=True)
        (tmp_path / folder / label / "1.png").write_bytes(b"listed")
    (tmp_path / study).parent.mkdir(exist_ok=True)
    with pytest.raises(SystemExit) as end:
        main(["init", str(tmp_path / folder), "-f", str(tmp_path / study)])
    assert not end.value.code
    text = (tmp_path / study).read_text("utf-8")
    assert yaml.safe_load(text)["dataset"]["url"] == url
    assert load_study(str(tmp_path / study)).study.dataset.url.rstrip("/").endswith(folder)


def test_links_do_not_lead_the_path_astray(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "1.png").write_bytes(b"listed")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er")
    url = yaml.safe_load(starter_study(tmp_path / "photos", tmp_path / "link"))["dataset"]["url"]
    assert url == str(tmp_path / "photos")
