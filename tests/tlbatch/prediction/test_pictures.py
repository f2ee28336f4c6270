"""What is listed, and where predictions may lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlbatch.errors import DataError, StudyError
from tlbatch.prediction.parts import listing_digest, listing_from_json, listing_to_json
from tlbatch.prediction.pictures import check_apart, list_pictures, place_of
from tlbatch.store import Store

NAMES = ["a/b/c/deep.jpg", "a/b.png", "b.png", "b/ü 1.png"]


@pytest.mark.s3
def test_a_folder_and_s3_are_listed_alike(tmp_path: Path, s3_store: Store) -> None:
    for name in [*NAMES, ".git/x.png", "a/Thumbs.db"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
        s3_store.put(name, name.encode())
    here, there = list_pictures(str(tmp_path)), list_pictures(s3_store.url)
    assert [file.path for file in here] == sorted(NAMES)
    assert [file.path for file in there] == [file.path for file in here]
    assert [file.size for file in there] == [file.size for file in here]
    for files in (here, there):
        assert listing_from_json(listing_to_json(files)) == files
        assert listing_digest(files) != listing_digest(files[1:])


def test_what_is_no_folder_of_files_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file.png").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError, match="no such folder"):
        list_pictures(str(tmp_path / "none"))
    with pytest.raises(StudyError, match="is a file"):
        list_pictures(str(tmp_path / "file.png"))
    with pytest.raises(DataError, match="nothing to predict"):
        list_pictures(str(tmp_path / "empty"))


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of("s3://b/p/") == "s3://b/p"
    assert place_of("photos") == str(tmp_path / "photos")
    with pytest.raises(StudyError, match="expected a folder"):
        place_of("gs://b/p")
    check_apart("/a/photos", "/a/photos-said")
    check_apart("/a/photos", "/a")
    (tmp_path / "photos").mkdir()
    (tmp_path / "linked").symlink_to("photos")
    for inside in ("photos", "photos/said", "empty/../photos/said", "linked/said"):
        with pytest.raises(StudyError, match="name another place"):
            check_apart(str(tmp_path / "photos"), f"{tmp_path}/{inside}")
    for among in ("parts", "parts/deeper", "predictions"):
        with pytest.raises(StudyError, match=f"lies in /a/{among.partition('/')[0]}/, where predictions go"):
            check_apart(f"/a/{among}", "/a")
