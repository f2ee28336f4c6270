"""Listings: labels from folders, parts and CSV files, in a folder and in S3; what is wrong is said, and nothing is read."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.nobody import as_nobody
from tlbatch.datasets.inventory import list_dataset
from tlbatch.datasets.listing import ListedFile, Listing
from tlbatch.errors import DataError, StudyError
from tlbatch.spec.dataset import Dataset
from tlbatch.store import Store


def fill(root: Path, *paths: str) -> Path:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode())
    return root


def listed(root: Path | str, **settings: Any) -> Listing:
    return list_dataset(Dataset.model_validate_json(json.dumps({"url": str(root), **settings})))


def by_path(listing: Listing) -> dict[str, ListedFile]:
    return {file.path: file for file in listing.files}


def labels(listing: Listing) -> dict[str, str]:
    return {file.path: file.label for file in listing.files}


# ---- class folders ----


def test_a_folder_per_class(tmp_path):
    fill(tmp_path, "cat/1.jpg", "cat/deep/er/2.png", "dog/ünï côdé 🐕.jpg", "README.md", "cat/.DS_Store", "dog/Thumbs.db")
    (tmp_path / "bird").mkdir()
    listing = listed(tmp_path)
    assert labels(listing) == {"cat/1.jpg": "cat", "cat/deep/er/2.png": "cat", "dog/ünï côdé 🐕.jpg": "dog"}
    assert (listing.classes, listing.empty_classes, listing.unlabelled) == (("cat", "dog"), ("bird",), 1)
    assert listing.files[0].size == len("cat/1.jpg")


def test_only_the_classes_that_are_wanted_in_their_order(tmp_path):
    fill(tmp_path, "cat/1.jpg", "dog/1.jpg", "emu/1.jpg")
    listing = listed(tmp_path, classes=["emu", "cat"])
    assert listing.classes == ("emu", "cat")
    assert set(labels(listing).values()) == {"emu", "cat"}
    assert listing.digest != listed(tmp_path, classes=["cat", "emu"]).digest


def test_links_are_followed_and_loops_and_dead_ends_are_named(tmp_path):
    root = fill(tmp_path / "data", "cat/1.jpg", "dog/1.jpg")
    fill(tmp_path / "elsewhere", "2.jpg")
    (root / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (root / "cat" / "loop").symlink_to(root)
    (root / "dog" / "gone.jpg").symlink_to("nowhere.jpg")
    (root / "dog" / "self.jpg").symlink_to("self.jpg")
    os.mkfifo(root / "dog" / "pipe.jpg")
    found = by_path(listed(root, follow_links=True))
    assert found["cat/more/2.jpg"].problem == ""
    assert "loop" in found["cat/loop"].problem
    assert "leads nowhere" in found["dog/gone.jpg"].problem
    assert "leads nowhere" in found["dog/self.jpg"].problem
    assert "neither a file" in found["dog/pipe.jpg"].problem
    assert len(found) == 7


def test_a_name_that_is_not_text_is_named(tmp_path):
    fill(tmp_path, "cat/1.jpg", "dog/1.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/cat/\xff\xfe.jpg")).write_bytes(b"x")
    bad = [file for file in listed(tmp_path).files if file.problem]
    assert [file.path for file in bad] == ["cat/\ufffd\ufffd.jpg"]
    assert "UTF-8" in bad[0].problem


def test_a_folder_that_cannot_be_opened_is_named():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fill(root, "cat/1.jpg", "dog/1.jpg", "dog/shut/2.jpg")
        (root / "dog" / "shut").chmod(0)
        try:
            with as_nobody(root):
                problem = by_path(listed(root))["dog/shut"].problem
        finally:
            (root / "dog" / "shut").chmod(0o755)
    assert "cannot be opened" in problem


def test_the_digest_knows_content_and_labels_but_not_the_place(tmp_path):
    one, other = (fill(tmp_path / name, "cat/1.jpg", "dog/1.jpg") for name in ("one", "other"))
    for root in (one, other):
        for file in root.glob("*/*"):
            os.utime(file, ns=(10**18, 10**18))
    digest = listed(one).digest
    assert listed(other).digest == digest
    os.utime(one / "cat" / "1.jpg", ns=(10**18 + 1, 10**18 + 1))
    assert listed(one).digest != digest
    (other / "cat" / "1.jpg").rename(other / "cat" / "2.jpg")
    assert listed(other).digest != digest


def test_json_and_back(tmp_path):
    fill(tmp_path, "cat/é.jpg", "dog/1.jpg")
    listing = listed(tmp_path, split={"group": "(.)/"})
    again = Listing.from_json(listing.to_json())
    assert again == listing
    assert again.digest == listing.digest
    with pytest.raises(StudyError, match="upgrade"):
        Listing.from_json(listing.to_json().replace(b'"format":1', b'"format":99'))


def test_groups_from_the_paths(tmp_path):
    fill(tmp_path, "cat/p1_a.jpg", "cat/p1_b.jpg", "cat/other.jpg", "dog/p2_a.jpg")
    groups = {file.path: file.group for file in listed(tmp_path, split={"group": r"(p\d+)_"}).files}
    assert groups == {"cat/p1_a.jpg": "p1", "cat/p1_b.jpg": "p1", "cat/other.jpg": None, "dog/p2_a.jpg": "p2"}
    with pytest.raises(StudyError, match="matches no path"):
        listed(tmp_path, split={"group": "(q)_"})


# ---- ready-made parts ----


def test_ready_made_parts(tmp_path):
    fill(
        tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "val/cat/1.jpg", "test/cat/deep/1.jpg", "test/dog/1.jpg", "x/cat/1.jpg"
    )
    (tmp_path / "train" / "emu").mkdir()
    listing = listed(tmp_path, split={"folders": {"train": "train", "validation": "val", "test": "test"}})
    assert Counter((file.part, file.label) for file in listing.files) == {
        ("train", "cat"): 1,
        ("train", "dog"): 1,
        ("validation", "cat"): 1,
        ("test", "cat"): 1,
        ("test", "dog"): 1,
    }
    assert (listing.empty_classes, listing.unlabelled) == (("emu",), 1)
    with pytest.raises(StudyError, match="did you mean 'val'"):
        listed(tmp_path, split={"folders": {"train": "train", "validation": "vale", "test": "test"}})


# ---- CSV ----

CSV = {"csv": "labels.csv", "id": "id", "label": "breed"}


def with_csv(root: Path, text: str, *paths: str) -> Path:
    fill(root, *paths)
    (root / "labels.csv").write_text(text, encoding="utf-8")
    return root


def test_a_csv_names_files_with_or_without_folder_and_extension(tmp_path):
    with_csv(
        tmp_path,
        "\ufeffid, breed\na,pug\ntrain/b,beagle\nc.jpg,pug\ntrain/d.jpg,beagle\ntrain\\e.v2,pug\n",
        *(f"train/{name}.jpg" for name in ("a", "b", "c", "d", "e.v2", "f")),
    )
    listing = listed(tmp_path, labels=CSV)
    assert labels(listing) == {
        "train/a.jpg": "pug",
        "train/b.jpg": "beagle",
        "train/c.jpg": "pug",
        "train/d.jpg": "beagle",
        "train/e.v2.jpg": "pug",
    }
    assert listing.unlabelled == 1


def test_a_csv_with_parts_and_groups_and_another_delimiter(tmp_path):
    with_csv(
        tmp_path,
        'id;breed;fold;patient\n"1";pug;Train;p1\n2;beagle;val;p2\n3;pug;test;\n4;beagle;;p1\n5;;train;p1\n',
        *(f"{i}.png" for i in range(1, 6)),
    )
    listing = listed(tmp_path, labels={**CSV, "split": "fold", "group": "patient"})
    assert [(file.path, file.part, file.group) for file in listing.files] == [
        ("1.png", "train", "p1"),
        ("2.png", "validation", "p2"),
        ("3.png", "test", None),
        ("4.png", None, "p1"),
    ]
    assert listing.unlabelled == 1


def test_lines_that_name_no_file_or_several_or_contradict_are_named(tmp_path):
    with_csv(
        tmp_path,
        "id,breed\na,pug\nb,pug\nb,beagle\nc,pug\nd,beagle\nd,beagle\nghost,pug\n",
        *("x/a.jpg", "x/b.jpg", "x/c.jpg", "y/c.jpg", "x/d.jpg", "x/d.json"),
    )
    found = by_path(listed(tmp_path, labels=CSV))
    assert found["x/a.jpg"].problem == found["x/d.jpg"].problem == ""
    assert "two labels: pug in line 3, beagle in line 4" in found["x/b.jpg"].problem
    assert "2 files have this name (x/c.jpg, y/c.jpg)" in found["c"].problem
    assert "line 8" in found["ghost"].problem
    assert "no such file" in found["ghost"].problem


def test_what_is_wrong_with_a_csv_is_a_sentence(tmp_path):
    with_csv(tmp_path, "id,breed,fold\na,pug,train\nb,beagle,trian\n", "a.jpg", "b.jpg")
    with pytest.raises(DataError, match=r"no lables.csv in .*did you mean 'labels.csv'"):
        listed(tmp_path, labels={**CSV, "csv": "lables.csv"})
    with pytest.raises(StudyError, match=r"dataset.labels.label: labels.csv has no column 'bread' \(did you mean 'breed'"):
        listed(tmp_path, labels={**CSV, "label": "bread"})
    with pytest.raises(StudyError, match=r"line 3: 'trian' in column 'fold' is no part \(did you mean 'train'"):
        listed(tmp_path, labels={**CSV, "split": "fold"})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"id,breed\nq,pug\nr,beagle\n", "none of its 2 names"),
        (b"id,breed\n\xff,pug\n", "not UTF-8"),
        (b"id,breed\na,\n", "no line has a value in both"),
        (b"", "no column 'id'"),
    ],
)
def test_a_csv_that_is_no_table_of_labels(tmp_path, content, sentence):
    fill(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises((DataError, StudyError), match=sentence):
        listed(tmp_path, labels=CSV)


# ---- what is not there ----


def test_what_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(StudyError, match="there is no such folder"):
        listed(tmp_path / "nowhere")
    fill(tmp_path, "a.jpg")
    with pytest.raises(StudyError, match="is a file, not a folder"):
        listed(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="holds no folder with images"):
        listed(tmp_path)
    fill(tmp_path, "cat/a.jpg")
    with pytest.raises(DataError, match="at least two classes"):
        listed(tmp_path)
    fill(tmp_path, "dog/a.jpg")
    (tmp_path / "emu").mkdir()
    with pytest.raises(StudyError, match=r"'dgo' is no class here .*did you mean 'dog'"):
        listed(tmp_path, classes=["cat", "dgo"])
    with pytest.raises(StudyError, match="'emu' has no files"):
        listed(tmp_path, classes=["cat", "emu"])


# ---- S3 ----


@pytest.mark.s3
def test_the_same_in_s3(s3_store: Store, tmp_path: Path) -> None:
    paths = ["cat/1.jpg", "cat/a b/ü.jpg", "dog/1.jpg", "dog/.hidden", "top.jpg"]
    fill(tmp_path, *paths)
    for path in paths:
        s3_store.put(path, path.encode())
    here, there = listed(tmp_path), listed(s3_store.url)
    assert labels(there) == labels(here)
    assert [file.size for file in there.files] == [file.size for file in here.files]
    assert (there.classes, there.unlabelled) == (here.classes, here.unlabelled)
    before = there.digest
    s3_store.put("cat/1.jpg", b"cat/2.jpg")
    assert listed(s3_store.url).digest != before


@pytest.mark.s3
def test_nothing_there_in_s3(s3_store: Store) -> None:
    with pytest.raises(DataError, match="there is nothing under"):
        listed(s3_store.url)
    with pytest.raises(StudyError, match="no such bucket"):
        listed("s3://no-such-bucket-here/x")


@pytest.mark.s3
def test_one_sweep(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from tlbatch.store.s3 import S3Store

    s3_store.put("labels.csv", b"id,breed\na,pug\nb,beagle\n")
    for name in ("a", "b"):
        s3_store.put(f"{name}.jpg", b"x")
    sweeps: list[str] = []
    real = S3Store._page
    monkeypatch.setattr(S3Store, "_page", lambda self, request: sweeps.append(request.prefix) or real(self, request))
    assert len(listed(s3_store.url, labels=CSV).files) == 2
    assert sweeps == [""]


def test_a_listing_in_pieces_is_canonical_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys follow from these bytes: they are those of one json.dumps, whatever the size of a piece."""
    import tlbatch.datasets.listing as module

    files = tuple(
        ListedFile(f"ü/{number}.jpg", number, "etag", "ü", "train", None, "", {"size": "small"} if number % 2 else {})
        for number in range(5)
    )
    for listing in (
        Listing("/data", ("ü", "b"), (), files, 3, tasks={"kind": ("ü", "b"), "size": ("small", "large")}),
        Listing("/data", ("a", "b"), ("c",), ()),
    ):
        whole = {
            "classes": listing.classes,
            "empty_classes": listing.empty_classes,
            "unlabelled": listing.unlabelled,
            "files": [{k: v for k, v in asdict(file).items() if k != "tasks" or v} for file in listing.files],
            **({"tasks": [[name, list(classes)] for name, classes in listing.tasks.items()]} if listing.tasks else {}),
        }

        def canonical(document: dict[str, Any]) -> bytes:
            return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()

        for pieces in (1, 2, 100):
            monkeypatch.setattr(module, "AT_ONCE", pieces)
            assert listing.digest == hashlib.sha256(canonical(whole)).hexdigest()
            assert listing.to_json() == canonical({**whole, "format": 1, "url": "/data"})
        assert Listing.from_json(listing.to_json()) == listing


def test_a_file_of_a_listing_that_is_none_is_refused() -> None:
    document = json.loads(Listing("/data", ("a", "b"), (), (ListedFile("a/1", 1, "e", "a"),)).to_json())
    document["files"].append({"path": "a/2"})
    with pytest.raises(ValueError, match="its files are none"):
        Listing.from_json(json.dumps(document).encode())
