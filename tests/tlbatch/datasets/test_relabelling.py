"""Corrected labels: what a CSV may say, where it is kept, and that it changes those labels and only those."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.tlbatch.listed import lay_out
from tlbatch.cli import main
from tlbatch.datasets.relabelling import (
    Corrections,
    corrections_name,
    list_corrected,
    load_corrections,
    plan_relabelling,
    save_corrections,
    undo,
)
from tlbatch.errors import DataError, StudyError, TransientError
from tlbatch.spec import Study, load_study
from tlbatch.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "images" / "fox").mkdir(parents=True)
    return lay_out(tmp_path, "pets", ("cat", "dog"))


@pytest.fixture
def study(path: Path) -> Study:
    return load_study(path, ()).study


def relabel(study: Study, store: Store, text: str) -> Any:
    planned, before = plan_relabelling(study, store, text.encode(), "file.csv")
    save_corrections(store, study.name, planned.corrections, before)
    return planned


def labels(study: Study, store: Store) -> dict[str, str]:
    return {file.path: file.label for file in list_corrected(study, store).files}


def test_those_labels_change_and_only_they(study: Study, store: Store) -> None:
    before, digest = labels(study, store), list_corrected(study, store).digest
    planned = relabel(study, store, "path,label\ncat/1.png,dog\ndog/2.png,-\ndog/3.png,\ncat/4.png,cat\ndog/5.png,fox\n")
    assert [(change.path, change.before, change.after) for change in planned.changes] == [
        ("cat/1.png", "cat", "dog"),
        ("dog/2.png", "dog", ""),
        ("dog/3.png", "dog", ""),
        ("dog/5.png", "dog", "fox"),
    ]
    assert (planned.lines, planned.same, planned.emptied) == (5, 1, ())
    wanted = {**before, "cat/1.png": "dog", "dog/5.png": "fox"}
    assert labels(study, store) == {path: label for path, label in wanted.items() if path not in ("dog/2.png", "dog/3.png")}
    listing = list_corrected(study, store)
    assert (listing.corrected, listing.left_out, listing.classes) == (2, 2, ("cat", "dog", "fox"))
    assert listing.digest != digest


def test_later_corrections_join_earlier_ones_and_the_own_label_ends_one(study: Study, store: Store) -> None:
    relabel(study, store, "path,label\ncat/1.png,dog\ncat/2.png,-\n")
    relabel(study, store, "path,label\ncat/3.png,dog\ncat/2.png,cat\n")
    assert load_corrections(store, "pets").labels == {"cat/1.png": "dog", "cat/3.png": "dog"}
    assert store.get(corrections_name("pets")) == b"path,label\ncat/1.png,dog\ncat/3.png,dog\n"
    assert list_corrected(study, store).left_out == 0


def test_undo_goes_back_step_by_step_and_loses_nothing(study: Study, store: Store) -> None:
    digests = [list_corrected(study, store).digest]
    for text in ("path,label\ncat/1.png,dog\n", "path,label\ncat/2.png,-\n"):
        relabel(study, store, text)
        digests.append(list_corrected(study, store).digest)
    assert undo(store, "pets")[0] == {"cat/1.png": "dog", "cat/2.png": ""}
    assert list_corrected(study, store).digest == digests[1]
    undo(store, "pets")
    assert list_corrected(study, store).digest == digests[0]
    with pytest.raises(StudyError, match="there is no relabelling to take back"):
        undo(store, "pets")
    names = [stat.name.removeprefix("labels/pets/") for stat in store.list("labels/")]
    assert [name[:11] for name in names] == ["corrections", "undone-0001", "undone-0002"]
    assert store.get(f"labels/pets/{names[2]}") == b"path,label\ncat/1.png,dog\ncat/2.png,-\n"


def test_a_suspects_file_says_only_what_was_edited(study: Study, store: Store) -> None:
    relabel(study, store, "path,label\ncat/1.png,dog\n")
    text = "rank,path,label,labelled,predicted\n1,cat/1.png,cat,cat,dog\n2,cat/2.png,dog,cat,dog\n3,dog/1.png,,dog,cat\n"
    planned = relabel(study, store, text)
    assert load_corrections(store, "pets").labels == {"cat/1.png": "dog", "cat/2.png": "dog", "dog/1.png": ""}
    assert (planned.lines, len(planned.changes)) == (2, 2)


def test_a_class_that_is_called_as_leaving_out_is_written_is_not_left_out(tmp_path: Path, store: Store) -> None:
    """An untouched line says nothing, whatever its class is called."""
    study = load_study(lay_out(tmp_path, "pets", ("-", "cat")), ()).study
    planned = relabel(study, store, "path,label,labelled\n-/1.png,-,-\ncat/1.png,cat,cat\n")
    assert (planned.lines, planned.changes) == (0, ())
    assert [change.after for change in relabel(study, store, "path,label,labelled\ncat/1.png,-,cat\n").changes] == [""]


def test_as_spreadsheets_save_it(study: Study, store: Store) -> None:
    planned, _ = plan_relabelling(study, store, b"\xef\xbb\xbflabel;path\r\ndog ;cat/1.png\r\n", "file.csv")
    assert planned.corrections == {"cat/1.png": "dog"}


def test_all_that_is_wrong_is_said_at_once_and_nothing_changes(study: Study, store: Store) -> None:
    text = "path,label\ncat/1.pgn,dog\ncat/1.png,dgo\ncat/2.png,dog\ncat/2.png,fox\n"
    with pytest.raises(StudyError) as raised:
        relabel(study, store, text)
    assert str(raised.value).splitlines() == [
        "file.csv:2: 'cat/1.pgn' is no labelled file of the dataset (did you mean 'cat/1.png'?)",
        "file.csv:3: 'dgo' is no class of the dataset (did you mean 'dog'?)",
        "file.csv:5: 'cat/2.png' is 'fox' here and 'dog' in line 4",
        "nothing was changed: fix these lines and hand the file in again",
    ]
    assert load_corrections(store, "pets") == Corrections()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no column 'path'"),
        (b"paht,label\na,b\n", "has no column 'path' (did you mean 'paht'?)"),
        (b"path\na\n", "has no column 'label'"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"path,label,label\ncat/1.png,dog,cat\n", "it has 2 columns 'label'; rename all but one"),
        (b"path,label\ncat/2.png,dog\ncat/1.png", "line 3: has 1 of 2 cells, so its label is not there"),
    ],
)
def test_what_is_no_table_is_a_sentence(study: Study, store: Store, data: bytes, sentence: str) -> None:
    with pytest.raises(DataError) as raised:
        plan_relabelling(study, store, data, "file.csv")
    assert sentence in str(raised.value)


def test_classes_that_lose_their_last_image_are_named_and_none_left_is_refused(study: Study, store: Store) -> None:
    every = {label: "".join(f"{label}/{n}.png,-\n" for n in range(6)) for label in ("cat", "dog")}
    assert relabel(study, store, "path,label\n" + every["cat"]).emptied == ("cat",)
    with pytest.raises(DataError, match="at least two classes"):
        list_corrected(study, store)
    relabel(study, store, "path,label\n" + every["dog"])
    with pytest.raises(DataError, match=r"leave every image out; `tlbatch data relabel STUDY --undo`"):
        list_corrected(study, store)


def test_corrections_of_files_that_went_count_nothing(study: Study, store: Store, path: Path) -> None:
    relabel(study, store, "path,label\ncat/1.png,dog\ncat/2.png,-\n")
    for number in (1, 2):
        (path.parent / "images" / "cat" / f"{number}.png").unlink()
    listing = list_corrected(study, store)
    assert (listing.corrected, listing.left_out) == (0, 0)


def test_of_two_at_once_one_is_told_to_look_again(study: Study, store: Store) -> None:
    plans = [plan_relabelling(study, store, f"path,label\ncat/{n}.png,dog\n".encode(), "f.csv") for n in range(4)]

    def save(number: int) -> bool:
        planned, before = plans[number]
        try:
            save_corrections(store, "pets", planned.corrections, before)
        except TransientError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(save, range(4)))
    assert sum(won) == 1
    assert load_corrections(store, "pets").labels == {f"cat/{won.index(True)}.png": "dog"}
    undo(store, "pets")
    assert load_corrections(store, "pets").labels == {}


def tlbatch(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


def test_the_command(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.csv").write_text("path,label\ncat/1.png,dog\ndog/2.png,-\n")
    arguments = ("data", "relabel", str(path), str(tmp_path / "mine.csv"), "--store", str(tmp_path / "store"))
    assert tlbatch(*arguments, "--dry-run") == 0
    assert "pets: 1 label would be changed, 1 image would be left out; 0 of 2 lines say" in capsys.readouterr().out
    assert not (tmp_path / "store").exists()
    assert tlbatch(*arguments) == 0
    assert "  cat/1.png: cat → dog\n  dog/2.png: dog → left out\nkept in " in capsys.readouterr().out
    assert tlbatch(*arguments, "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["changes"], document["same"]) == ([], 2)
    assert document["corrections"] == {"cat/1.png": "dog", "dog/2.png": ""}
    assert tlbatch("data", "relabel", str(path), "--undo", "--store", str(tmp_path / "store")) == 0
    assert capsys.readouterr().out == "pets: 2 corrections taken back, 0 left\n"
    assert tlbatch("data", "relabel", str(path), "--store", str(tmp_path / "store")) == 2
    assert "name a FILE, or --undo" in capsys.readouterr().err
    assert tlbatch("data", "relabel", str(path), str(tmp_path / "none.csv"), "--store", str(tmp_path / "store")) == 2
    assert "none.csv cannot be read (No such file or directory)" in capsys.readouterr().err
