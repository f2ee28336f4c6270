"""Several labels a file, from columns of a CSV: what is missing stays missing, and what is said twice must agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlbatch.datasets.inventory import list_dataset
from tlbatch.datasets.listing import Listing
from tlbatch.datasets.relabelling import plan_relabelling
from tlbatch.errors import DataError, StudyError
from tlbatch.spec import parse_study
from tlbatch.spec.dataset import Dataset
from tlbatch.store.directory import DirectoryStore

LINES = ["1,cat,", "2,dog,husky", "3,dog,pug", "4,,pug", "5,dog,Pug ", "6,cat,"]


def pets(folder: Path, lines: list[str], **more: object) -> Dataset:
    for line in lines:
        if not (picture := folder / f"{line.partition(',')[0]}.png").exists():
            picture.write_bytes(b"x")
    (folder / "labels.csv").write_text("id,species,breed\n" + "\n".join(lines) + "\n")
    labels = {"csv": "labels.csv", "tasks": {"species": "species", "breed": "Breed"}}
    return Dataset.of({"url": str(folder), "labels": labels, **more})


def test_labels_that_are_missing_are_not_there(tmp_path: Path) -> None:
    listing = list_dataset(pets(tmp_path, LINES[:4]))
    said = {file.path: (file.label, dict(file.tasks)) for file in listing.files}
    assert said == {
        "1.png": ("cat", {"species": "cat"}),
        "2.png": ("dog", {"species": "dog", "breed": "husky"}),
        "3.png": ("dog", {"species": "dog", "breed": "pug"}),
        "4.png": ("", {"breed": "pug"}),
    }
    assert listing.classes == ("cat", "dog")
    assert dict(listing.tasks) == {"species": ("cat", "dog"), "breed": ("husky", "pug")}
    again = Listing.from_json(listing.to_json())
    assert (again.digest, again.files, list(again.tasks.items())) == (
        listing.digest,
        listing.files,
        list(listing.tasks.items()),
    )


def test_a_label_more_is_another_dataset(tmp_path: Path) -> None:
    first = list_dataset(pets(tmp_path, LINES[:4])).digest
    assert list_dataset(pets(tmp_path, LINES[:4])).digest == first
    assert list_dataset(pets(tmp_path, [*LINES[:3], "4,dog,pug"])).digest != first
    assert list_dataset(pets(tmp_path, [*LINES[:2], "3,dog,husky", LINES[3]])).digest != first


def test_a_line_without_any_label_is_counted_and_left_out(tmp_path: Path) -> None:
    listing = list_dataset(pets(tmp_path, [*LINES[:4], "7,,"]))
    assert len(listing.files) == 4
    assert listing.unlabelled == 1


def test_aliases_are_of_every_task_and_chosen_classes_of_the_main_one(tmp_path: Path) -> None:
    more = {"aliases": {"Pug": "pug"}, "classes": ("dog", "cat")}
    listing = list_dataset(pets(tmp_path, [*LINES, "7,fish,"], **more))
    assert listing.classes == ("dog", "cat")
    assert listing.tasks["breed"] == ("husky", "pug")
    assert [file.path for file in listing.files] == [f"{number}.png" for number in range(1, 7)], "4 has a breed, 7 is a fish"


def test_lines_that_disagree_spoil_their_file_whatever_the_task(tmp_path: Path) -> None:
    files = {file.path: file for file in list_dataset(pets(tmp_path, [*LINES[:4], "3,dog,husky"])).files}
    assert files["3.png"].problem == "labels.csv gives it two labels of breed: pug in line 4, husky in line 6"


def test_what_is_no_task_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="task breed needs at least two classes, and there is only 'pug': fill its column"):
        list_dataset(pets(tmp_path, ["1,cat,", "2,dog,pug"]))
    with pytest.raises(DataError, match=r"task breed: pug .* and Pug .* look alike: .*, give them other names in its"):
        list_dataset(pets(tmp_path, [*LINES, "9,dog,husky"]))
    wrong = pets(tmp_path, LINES)
    asked = wrong.model_copy(update={"labels": wrong.labels.model_copy(update={"tasks": {"a": "species", "b": "breeds"}})})
    with pytest.raises(StudyError, match=r"dataset\.labels\.tasks\.b: labels\.csv has no column 'breeds'.*breed"):
        list_dataset(asked)


def test_corrections_say_not_which_task(tmp_path: Path) -> None:
    """Refused, also those of a time when the study had one task: they would count for the main one alone."""
    dataset = pets(tmp_path, LINES[:4])
    said = "labels of several tasks are corrected in labels.csv itself"
    with pytest.raises(StudyError, match=said):
        list_dataset(dataset, {"1.png": "dog"})
    text = "apiVersion: tlbatch/v1\nkind: Study\nname: pets\ndataset: {url: pets}\nruns: [{name: a, model: {scratch: {}}}]\n"
    study = parse_study(text).study.model_copy(update={"dataset": dataset})
    with pytest.raises(StudyError, match=said):
        plan_relabelling(study, DirectoryStore(tmp_path / "store"), b"path,label\n1.png,dog\n", "mine.csv")
