"""What only a directory store can get wrong."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from tlbatch.errors import StudyError, TransientError
from tlbatch.store import open_store
from tlbatch.store.directory import DirectoryStore


def test_a_url_or_a_path_opens_it(tmp_path: Path) -> None:
    for url in (str(tmp_path), f"file://{tmp_path}"):
        assert open_store(url).url == str(tmp_path.resolve())
    with pytest.raises(StudyError, match="expected s3://BUCKET, s3://BUCKET/PREFIX or a folder"):
        open_store("gs://bucket")


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "none")
    assert list(store.list()) == []
    assert store.stat("a") is None
    assert not (tmp_path / "none").exists()


def test_nothing_temporary_stays(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("a/b", b"x")
    store.delete(["a/b"])
    with pytest.raises(FileNotFoundError):
        store.upload(tmp_path / "missing", "a/b")
    assert [path.name for path in tmp_path.rglob("*")] == [".tlbatch", "lock"]


def test_a_failed_copy_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path / "store")
    source = tmp_path / "source"
    source.write_bytes(b"x")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(TransientError, match="no space left there; make room"):
        store.upload(source, "a")
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_a_root_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StudyError, match=r"could not be written .*name another store"):
        DirectoryStore(tmp_path / "file").put("a", b"")


def test_a_folder_in_the_way_is_a_sentence(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("a/b", b"")
    with pytest.raises(StudyError, match="could not be written"):
        store.put("a", b"")
    with pytest.raises(StudyError, match="could not be written"):
        store.put("a/b/c", b"")


def test_denied_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path)
    store.put("a", b"")

    def denied(*_: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(StudyError, match=r"could not be read \(Permission denied\): fix its permissions"):
        store.get("a")


def test_the_path_of_a_missing_object_need_not_exist(tmp_path: Path) -> None:
    path = DirectoryStore(tmp_path).local_path("a/b")
    assert path == tmp_path.resolve() / "a" / "b"
    assert not path.exists()


def test_folders_that_links_lead_to_are_listed_once(tmp_path: Path) -> None:
    """As where executions lie on another disk. Failed before: they were not there for who looks at all of the store."""
    store, other = DirectoryStore(tmp_path / "store"), tmp_path / "disk"
    store.put("a/b", b"x")
    other.mkdir()
    (other / "c").write_bytes(b"y")
    (tmp_path / "store" / "linked").symlink_to(other)
    (other / "back").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "a" / "round").symlink_to(tmp_path / "store" / "a")
    assert [stat.name for stat in store.list()] == ["a/b", "linked/c"]
    assert [stat.name for stat in store.list("linked/")] == ["linked/c"]
    (tmp_path / "store" / "self").symlink_to("self")
    with pytest.raises(StudyError, match="self is a link to what is not there"):
        list(store.list())
    (tmp_path / "store" / "self").unlink()
    shutil.rmtree(other)
    with pytest.raises(StudyError, match="linked is a link to what is not there"):
        list(store.list())


def test_what_lies_beside_a_prefix_is_not_looked_into(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("a/b/c", b"x")
    store.put("a/bc", b"x")
    store.put("d", b"x")
    assert [stat.name for stat in store.list("a/b")] == ["a/b/c", "a/bc"]
    assert list(store.list("a/b/c/")) == []
    assert [stat.name for stat in store.list("d")] == ["d"]
