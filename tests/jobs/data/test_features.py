"""Features in safetensors files: read by the format's own library, found by content id, exactly the rows asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jobs.data import row_store
from jobs.data.features import groups, load_features, load_views
from jobs.data.row_store import Spool, open_rows, read_rows, write_rows
from tlbatch.store.artifacts import Artifact, Manifest, artifact_files
from tlbatch.store.directory import DirectoryStore

IDS = [f"{digit}{number:039x}" for digit in "03f" for number in range(4)]


def rows_of(array: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in array.astype("<f4")]


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(IDS), 5)).astype(np.float32)


@pytest.fixture
def artifact(tmp_path: Path, array: np.ndarray) -> Artifact:
    """Features of all ids, and two views of every second one."""
    files = {"features.json": tmp_path / "features.json"}
    files["features.json"].write_text(json.dumps({"dim": 5, "views": 2}))
    for kind, ids, shape in (("features", IDS, (5,)), ("views", IDS[::2], (2, 5))):
        for name, group in groups(kind, ids).items():
            files[name] = tmp_path / name
            files[name].parent.mkdir(exist_ok=True)
            places = [IDS.index(image_id) for image_id in group]
            rows = array[places] if kind == "features" else np.stack([array[places] + 1, array[places] + 2], axis=1)
            write_rows(files[name], kind, (len(group), *shape), group, rows_of(rows))
    store = DirectoryStore(tmp_path / "store")
    entries = artifact_files(files, "extract", "0" * 40, "a1")
    for name, path in files.items():
        store.upload(path, entries[name].path)
    return Artifact(store, Manifest("extract", "0" * 40, entries), tmp_path / "cache")


def test_groups_are_by_the_first_digit_and_sorted() -> None:
    found = groups("features", [*reversed(IDS), IDS[0]])
    assert list(found) == ["features/0.safetensors", "features/3.safetensors", "features/f.safetensors"]
    assert found["features/3.safetensors"] == IDS[4:8]


def test_features_come_in_the_order_asked_for(artifact: Artifact, array: np.ndarray) -> None:
    places = [11, 0, 7, 0, 3]
    found = load_features(artifact, [IDS[place] for place in places])
    assert found.dtype == np.float32
    assert np.array_equal(found, array[places])


def test_views_come_first_by_number(artifact: Artifact, array: np.ndarray) -> None:
    found = load_views(artifact, [IDS[8], IDS[2]])
    assert np.array_equal(found, np.stack([array[[8, 2]] + 1, array[[8, 2]] + 2]))


def test_an_image_that_was_not_extracted_is_named(artifact: Artifact) -> None:
    with pytest.raises(KeyError, match="no features of image 3ffff"):
        load_features(artifact, [IDS[0], "3ffff"])
    with pytest.raises(KeyError, match="no features of image abc"):
        load_features(artifact, ["abc"])
    with pytest.raises(KeyError, match=f"no views of image {IDS[1]}.*redraw 2"):
        load_views(artifact, [IDS[0], IDS[1]], 2)


def test_the_librarys_own_reader_reads_what_is_written(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "rows.safetensors"
    write_rows(path, "features", array.shape, IDS, rows_of(array))
    assert np.array_equal(load_file(path)["features"], array)


def test_what_the_library_writes_is_read(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "rows.safetensors"
    save_file({"features": array}, path, {"ids": json.dumps(IDS)})
    rows = open_rows(path)
    assert rows.ids == tuple(IDS)
    assert np.array_equal(rows.array(), array)
    assert rows.read(7) == array[7].tobytes()


def test_rows_of_several_views_have_names_of_their_own(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "rows.safetensors"
    write_rows(path, "views", (6, 2, 5), IDS[:6], rows_of(array))
    rows = open_rows(path)
    assert list(rows.names[:3]) == [f"{IDS[0]}/0", f"{IDS[0]}/1", f"{IDS[1]}/0"]
    assert rows.read(3) == array[3].tobytes()


def test_no_rows_at_all_are_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.safetensors"
    write_rows(path, "features", (0, 5), [], [])
    assert open_rows(path).array().shape == (0, 5)


def test_a_missing_row_is_not_passed_over(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="bytes for"):
        write_rows(tmp_path / "rows.safetensors", "features", array.shape, IDS, rows_of(array)[1:])


@pytest.mark.parametrize("at_once", [1, 60, 2**20])
def test_rows_of_several_files_come_in_the_order_asked_for_and_in_bounded_memory(
    tmp_path: Path, array: np.ndarray, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Of files as written and as they come; a row is 20 bytes."""
    monkeypatch.setattr(row_store, "READ_AT_ONCE", at_once)
    write_rows(tmp_path / "rows.safetensors", "features", array.shape, IDS, rows_of(array))
    spool = Spool(tmp_path / "spool")
    spool.extend(IDS, array + 1)
    chance, sources = np.random.default_rng(1), [(open_rows(tmp_path / "rows.safetensors"), array), (spool, array + 1)]
    places, expected = [], []
    runs = [(0, 0, 12), (1, 3, 5), (1, 8, 1), (1, 8, 4), (0, 8, 4), (1, 0, 12), *chance.integers(0, 2, (9, 3))]
    for source, start, count in runs:
        rows, values = sources[source]
        places += [(rows, start + number) for number in range(count)]
        expected += rows_of(values[start : start + count])
    found = list(read_rows(places))
    assert b"".join(found) == b"".join(expected)
    assert max(map(len, found)) <= max(at_once, 20)
    assert len(found) < len(places) or at_once == 1
    assert list(read_rows([])) == []


@pytest.mark.parametrize("damage", ["cut", "text", "two", "ids"])
def test_what_holds_no_rows_is_refused(tmp_path: Path, array: np.ndarray, damage: str) -> None:
    path = tmp_path / "rows.safetensors"
    tensors = {"a": array, "b": array} if damage == "two" else {"a": array}
    save_file(tensors, path, {"ids": json.dumps(IDS[1:] if damage == "ids" else IDS)})
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:40])
    if damage == "text":
        path.write_text("no safetensors at all")
    with pytest.raises(ValueError, match=r"rows\.safetensors|Expecting|Unterminated"):
        open_rows(path)


def test_a_spool_writes_all_where_the_system_takes_a_part(
    tmp_path: Path, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    spool = Spool(tmp_path / "spool")
    spool.extend(IDS, array)
    assert [spool.read(place) for place in range(len(IDS))] == [row.tobytes() for row in array]
    spool.close()


def test_a_spool_gives_back_what_was_put_in(tmp_path: Path, array: np.ndarray) -> None:
    spool = Spool(tmp_path / "spool", 5)
    for few in (slice(0, 1), slice(1, 9), slice(9, None)):
        spool.extend(IDS[few], array[few])
    assert spool.names == IDS
    assert spool.read(9) == array[9].tobytes()
    with pytest.raises(ValueError, match="not 1 of 5 values"):
        spool.extend(["x"], np.zeros((1, 4), np.float32))
    spool.close()
    assert not (tmp_path / "spool").exists()
