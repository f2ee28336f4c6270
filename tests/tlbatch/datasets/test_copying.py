"""A folder into a store: everything arrives, nothing is sent twice, changes are."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tlbatch.datasets.copying import Copied, put
from tlbatch.datasets.walk import LeftOut
from tlbatch.errors import StudyError, TransientError
from tlbatch.store import Store
from tlbatch.store.directory import DirectoryStore
from tlbatch.store.protocol import Stat


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/1.png", "a/2.png", "b/3.png", ".hidden/x", "b/.DS_Store"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / name).write_bytes(name.encode())
    return tmp_path / "pictures"


def test_all_files_arrive_and_are_sent_once(store: Store, folder: Path) -> None:
    hidden = (LeftOut("hidden", 2, (".hidden/", "b/.DS_Store")),)
    assert put(folder, store) == Copied(3, 3, 21, hidden)
    assert {stat.name: store.get(stat.name) for stat in store.list()} == {
        n: n.encode() for n in ("a/1.png", "a/2.png", "b/3.png")
    }
    assert put(folder, store) == Copied(3, 0, 0, hidden)


def test_what_was_broken_off_goes_on(store: Store, folder: Path) -> None:
    store.put("a/2.png", b"a/2.png")
    assert put(folder, store).sent == 2


@pytest.mark.s3
def test_a_change_of_the_same_size_is_sent(s3_store: Store, folder: Path) -> None:
    put(folder, s3_store)
    (folder / "a/1.png").write_bytes(b"A/1.PNG")
    assert put(folder, s3_store).sent == 1
    assert s3_store.get("a/1.png") == b"A/1.PNG"


def test_what_does_not_arrive_as_it_was_is_said(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(store), "upload", lambda self, path, name: self.put(name, b"half"))
    with pytest.raises(TransientError, match="did not arrive as they were"):
        put(folder, store)


def test_no_folder(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no such folder"):
        put(tmp_path / "nothing", store)


class EncryptedStore(DirectoryStore):
    """A store whose listing shows ETags as a bucket encrypted by KMS does: 32 hex digits that are no MD5, others each time."""

    def list(self, prefix: str = "") -> Iterator[Stat]:
        for stat in super().list(prefix):
            yield replace(stat, etag=f'"{secrets.token_hex(16)}"')


def test_an_etag_that_is_no_md5_ends_well_and_is_not_sent_again(tmp_path: Path) -> None:
    """Fails where an ETag of 32 hex digits is taken for the MD5: then nothing ever arrives as it was."""
    folder = tmp_path / "from"
    (folder / "cat").mkdir(parents=True)
    for name in "ab":
        (folder / "cat" / f"{name}.jpg").write_bytes(name.encode() * 10)
    target = EncryptedStore(tmp_path / "to")
    assert put(folder, target).sent == 2
    assert put(folder, target).sent == 0
    target.put("cat/a.jpg", b"c" * 10)  # of the same size
    assert put(folder, target).sent == 1
    assert target.get("cat/a.jpg") == b"a" * 10
