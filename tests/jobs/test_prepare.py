"""prepare as a whole: hostile folders, shares of bad files, copies, S3, equal bytes from equal data."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from jobs.context import Context
from jobs.data.index import load_index, read_stored
from jobs.kinds.image.decode import content_id
from jobs.prepare import run
from tests.nobody import as_nobody
from tlbatch.datasets.inventory import list_dataset
from tlbatch.errors import DataError, Stopped
from tlbatch.spec.dataset import Dataset
from tlbatch.store import Store
from tlbatch.store.artifacts import Artifact, open_artifact
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import Task, task_name

SIDES = ("width", "height", "source_width", "source_height")


def scene(seed: int, width: int = 120, height: int = 90) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)


def save(image: Image.Image, path: Path, **settings: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **settings)
    return path


def two_classes(root: Path, each: int = 6) -> Path:
    for number in range(each):
        save(scene(number), root / "cat" / f"{number}.jpg", quality=90)
        save(scene(1000 + number), root / "dog" / f"{number}.png")
    return root


def task_for(store: Store, url: str, dataset: dict[str, Any] | None = None, **params: Any) -> Task:
    """The task as the planner makes it, its listing in its place."""
    listing = list_dataset(Dataset.model_validate_json(json.dumps({"url": url, **(dataset or {})})))
    settings = {"dataset": listing.digest, "stored_size": 512, "max_bad": 0.05, "near_duplicates": True, **params}
    name = f"work/{Task('prepare', settings).key}/listing.json"
    store.put(name, listing.to_json())
    return Task("prepare", settings, locations={"dataset": listing.url, "listing": name})


def prepare(store: Store, task: Task, scratch: Path, **how: Any) -> Artifact:
    context = Context(store, task, "a1", scratch, **how)
    run(context)
    assert context.finish() is not None
    artifact = open_artifact(store, "prepare", task.key, scratch / "cache")
    assert artifact is not None
    return artifact


@pytest.fixture
def prepared(directory_store: Store, tmp_path: Path) -> Callable[..., Artifact]:
    def go(root: Path | str, dataset: dict[str, Any] | None = None, **params: Any) -> Artifact:
        return prepare(directory_store, task_for(directory_store, str(root), dataset, **params), tmp_path / "scratch")

    return go


def bad_files(artifact: Artifact) -> dict[str, str]:
    lines = [json.loads(line) for line in artifact.read_bytes("bad.jsonl").decode().split("\n") if line]
    assert lines == sorted(lines, key=lambda line: line["path"])
    return {line["path"]: line["reason"] for line in lines}


# ---- what comes out ----


def test_the_artifact_is_what_the_other_steps_read(prepared, tmp_path):
    root = two_classes(tmp_path / "data")
    artifact = prepared(root, {"split": {"group": r"(\d)\."}})
    entries = load_index(artifact)
    assert len(entries) == 12
    assert [(entry.id, entry.path) for entry in entries] == sorted((entry.id, entry.path) for entry in entries)
    for entry in entries:
        data = (root / entry.path).read_bytes()
        assert read_stored(artifact, entry) == data
        assert entry.id == content_id(Image.open(io.BytesIO(data)).convert("RGB"))
        assert (entry.label, entry.group) == (entry.path.split("/")[0], Path(entry.path).stem)
        assert [entry.facts[name] for name in SIDES] == [120, 90, 120, 90]
        assert (entry.format, entry.part, entry.dup) == (entry.path[-3:], None, None)
    card = artifact.read_json("card.json")
    assert (card["classes"], card["counts"], card["bad"]) == (["cat", "dog"], {"cat": 6, "dog": 6}, 0)
    assert card["duplicates"] == {"exact": [], "near": [], "conflicting": []}
    assert card["sizes"]["formats"] == {"jpg": 6, "png": 6}
    assert artifact.read_bytes("bad.jsonl") == b""
    assert artifact.manifest.made["images_per_s"] > 0
    grid = Image.open(io.BytesIO(artifact.read_bytes("grid.jpg")))
    assert grid.width > 500


def test_shards_are_webdataset(prepared, tmp_path):
    artifact = prepared(two_classes(tmp_path / "data"))
    samples: dict[str, dict[str, bytes]] = {}
    for name in artifact.names("shards/"):
        with tarfile.open(artifact.path(name)) as tar:
            for member in tar:
                key, _, extension = member.name.partition(".")
                samples.setdefault(key, {})[extension] = tar.extractfile(member).read()
    assert len(samples) == 12
    for key, sample in samples.items():
        described = json.loads(sample["json"])
        assert described["id"] == key
        assert described["label"] in ("cat", "dog")
        assert sample.keys() == {"json", described["paths"][0][-3:]}


def test_large_and_turned_pictures_are_stored_smaller_and_upright(prepared, tmp_path):
    root = two_classes(tmp_path / "data", 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    save(scene(77, 900, 600), root / "cat" / "turned.jpg", exif=exif)
    entries = {entry.path: entry for entry in load_index(prepared(root, stored_size=64))}
    entry = entries["cat/turned.jpg"]
    assert [entry.facts[name] for name in SIDES] == [64, 96, 600, 900]
    assert [entries["cat/0.jpg"].facts[name] for name in SIDES[:2]] == [85, 64]


def test_ready_made_parts_reach_the_index(prepared, tmp_path):
    for part in ("train", "test"):
        two_classes(tmp_path / "data" / part, 2 if part == "train" else 1)
    entries = load_index(prepared(tmp_path / "data", {"split": {"folders": {"train": "train", "test": "test"}}}))
    assert {(entry.part, entry.path.split("/")[0]) for entry in entries} == {("train", "train"), ("test", "test")}
    copied = {entry.dup for entry in entries if entry.part == "test"}
    assert None not in copied  # each test picture is a training picture too


# ---- copies ----


def test_copies_share_a_name_and_contradictions_are_listed(prepared, tmp_path):
    root = two_classes(tmp_path / "data")
    save(scene(2), root / "cat" / "again.bmp")
    save(scene(1003), root / "cat" / "wrong.png")  # the same pixels as dog/3.png
    save(ImageOps.mirror(scene(1004)), root / "dog" / "mirrored.jpg", quality=85)
    save(scene(1005).resize((60, 45)), root / "cat" / "half.png")  # too small to be compared
    artifact = prepared(root)
    entries = {entry.path: entry for entry in load_index(artifact)}
    assert entries["cat/wrong.png"].id == entries["dog/3.png"].id == entries["dog/3.png"].dup
    assert entries["cat/wrong.png"].offset == entries["dog/3.png"].offset
    assert (
        entries["dog/mirrored.jpg"].dup
        == entries["dog/4.png"].dup
        == min(entries[p].id for p in ("dog/mirrored.jpg", "dog/4.png"))
    )
    assert entries["cat/2.jpg"].dup == entries["cat/again.bmp"].dup is not None
    assert entries["cat/half.png"].dup is None
    duplicates = artifact.read_json("card.json")["duplicates"]
    assert duplicates["exact"] == [["cat/wrong.png", "dog/3.png"]]
    assert [(group["paths"], group["kind"]) for group in duplicates["near"]] == [
        (["cat/2.jpg", "cat/again.bmp"], "recompressed"),
        (["dog/4.png", "dog/mirrored.jpg"], "mirrored"),
    ]
    assert duplicates["conflicting"] == [["cat/wrong.png", "dog/3.png"]]


def test_near_copies_are_looked_for_only_if_asked(prepared, tmp_path):
    root = two_classes(tmp_path / "data")
    save(ImageOps.mirror(scene(1004)), root / "dog" / "mirrored.jpg")
    card = prepared(root, near_duplicates=False).read_json("card.json")
    assert card["duplicates"]["near"] == []
    assert "not looked for" in card["method"]


# ---- hostile folders ----


def hostile(root: Path) -> Path:
    two_classes(root, 3)
    cat = root / "cat"
    save(scene(50), cat / "ünï côdé 🐕.png")
    save(scene(51), cat / "nested" / "deep er" / "photo.jpg")
    save(scene(52).convert("CMYK"), cat / "cmyk.jpg")
    save(Image.fromarray(np.full((50, 50), 32896, np.uint16)), cat / "grey16.png")
    clear = scene(53).convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 120, 45))
    save(clear.quantize(64), cat / "palette.png")
    exif = Image.Exif()
    exif[0x0112] = 8
    save(scene(54), cat / "turned.jpg", exif=exif)
    save(scene(55), cat / "animated.gif", save_all=True, append_images=[scene(56)], duration=9)
    save(Image.new("RGB", (1, 1), "red"), cat / "dot.png")
    whole = (cat / "0.jpg").read_bytes()
    (cat / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (cat / "empty.jpg").write_bytes(b"")
    (cat / "note.jpg").write_text("this is not a cat")
    (cat / "README.txt").write_text("these are cats")
    flipped = bytearray((root / "dog" / "0.png").read_bytes())
    flipped[len(flipped) // 2] ^= 255
    (cat / "flipped.png").write_bytes(flipped)
    checksum = bytearray((root / "dog" / "0.png").read_bytes())
    checksum[checksum.index(b"IEND") - 6] ^= 1  # of the pixels, which are right: PIL raises no OSError
    (cat / "wrong-checksum.png").write_bytes(checksum)
    (cat / "huge.jpg").write_bytes(_with_size(whole, 20_000, 20_000))
    (cat / "loop").symlink_to(root)
    (cat / "gone.jpg").symlink_to("nowhere.jpg")
    (root / "bird").mkdir()
    return root


def _with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """The file with another size in its frame header."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + jpeg[at + 4 :]


GOOD = {
    *("ünï côdé 🐕.png", "nested/deep er/photo.jpg", "cmyk.jpg", "grey16.png", "palette.png", "turned.jpg", "animated.gif"),
    *("dot.png", "0.jpg", "1.jpg", "2.jpg"),
}
BAD = {
    "cat/truncated.jpg": "truncated",
    "cat/empty.jpg": "empty: 0 bytes",
    "cat/note.jpg": "not an image: text",
    "cat/README.txt": "not an image: text",
    "cat/flipped.png": "damaged",
    "cat/wrong-checksum.png": "damaged",
    "cat/huge.jpg": "400 million pixels are more than",
    "cat/loop": "a loop",
    "cat/gone.jpg": "leads nowhere",
}


@pytest.mark.promise(8)
def test_a_hostile_folder(prepared, tmp_path):
    """Fails when only an OSError of the decoder counts as a bad file."""
    artifact = prepared(hostile(tmp_path / "data"), max_bad=0.5)
    entries = {entry.path: entry for entry in load_index(artifact)}
    assert {path.removeprefix("cat/") for path in entries if path.startswith("cat/")} == GOOD
    reasons = bad_files(artifact)
    assert reasons.keys() == BAD.keys()
    for path, words in BAD.items():
        assert words in reasons[path], path
    card = artifact.read_json("card.json")
    assert (card["counts"], card["empty_classes"], card["bad"]) == ({"cat": 11, "dog": 3}, ["bird"], 9)

    def shown(path: str) -> Image.Image:
        image = Image.open(io.BytesIO(read_stored(artifact, entries[path])))
        assert image.mode == "RGB"
        assert list(image.size) == [entries[path].facts[name] for name in SIDES[:2]]
        return image

    assert shown("cat/turned.jpg").size == (90, 120)
    assert np.asarray(shown("cat/grey16.png"))[9, 9].tolist() == [128, 128, 128]
    assert np.asarray(shown("cat/palette.png"))[:40].min() > 250  # transparent at the top, so white
    for path, seed in {"cat/cmyk.jpg": 52, "cat/animated.gif": 55}.items():
        difference = np.asarray(shown(path)).astype(int) - np.asarray(scene(seed))
        assert np.abs(difference).mean() < 12, path


@pytest.mark.promise(8)
def test_too_many_bad_files_end_it_with_the_first_few_named(prepared, tmp_path):
    """Fails when the share of bad files is not looked at."""
    with pytest.raises(
        DataError, match=r"dataset.max_bad allows 10.0%: cat/README.txt \(not an image: text\); cat/empty"
    ) as caught:
        prepared(hostile(tmp_path / "data"), max_bad=0.1)
    assert caught.value.exit_code == 65


def test_too_many_bad_files_of_a_source_are_told_of_that(directory_store, tmp_path):
    """By the field that allows more: the target's has nothing to do with it."""
    task = replace(task_for(directory_store, str(hostile(tmp_path / "data")), max_bad=0.1), name="prepare:films")
    with pytest.raises(DataError, match=r"sources\.films\.max_bad allows 10.0%.* or raise sources\.films\.max_bad"):
        prepare(directory_store, task, tmp_path / "scratch")


def test_no_usable_image_at_all(prepared, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "a.jpg").write_text("no")
    with pytest.raises(DataError, match="none of its 2 files is a usable image"):
        prepared(tmp_path / "data", max_bad=1.0)


def test_unreadable_files_are_listed_and_used_once_they_can_be_read(prepared, tmp_path):
    prepared(two_classes(tmp_path / "before", 4))  # imports what it needs: from where another user may not read
    with tempfile.TemporaryDirectory() as folder:
        root = two_classes(Path(folder) / "data", 4)
        (root / "cat" / "1.jpg").chmod(0)
        (root / "dog" / "shut").mkdir(0)
        Path(folder, "store").mkdir()
        store = DirectoryStore(Path(folder) / "store")
        (Path(folder) / "scratch").mkdir()
        with as_nobody(Path(folder)):
            task = task_for(store, str(root), max_bad=0.5)
            artifact = prepare(store, task, Path(folder) / "scratch")
            reasons = bad_files(artifact)
            (root / "cat" / "1.jpg").chmod(0o644)
            again = task_for(store, str(root), max_bad=0.5)
        assert "cannot be read (Permission denied)" in reasons["cat/1.jpg"]
        assert "cannot be opened (Permission denied)" in reasons["dog/shut"]
        assert again.key != task.key  # so the file is looked at again


# ---- equal data, equal bytes ----


def test_thread_count_and_attempt_change_nothing(directory_store, tmp_path, monkeypatch):
    root = hostile(tmp_path / "data")
    save(ImageOps.mirror(scene(1001)), root / "dog" / "mirrored.jpg")
    task = task_for(directory_store, str(root), max_bad=0.5)
    digests = set()
    for threads in ("1", "4"):
        monkeypatch.setenv("TLBATCH_THREADS", threads)
        store = DirectoryStore(tmp_path / f"store-{threads}")
        store.put(task.locations["listing"], directory_store.get(task.locations["listing"]))
        digests.add(prepare(store, task, tmp_path / f"scratch-{threads}").digest)
    assert len(digests) == 1


def test_a_touched_dataset_has_another_key_and_the_same_digest(directory_store, tmp_path):
    root = two_classes(tmp_path / "data")
    before = task_for(directory_store, str(root))
    first = prepare(directory_store, before, tmp_path / "one")
    for path in root.glob("*/*"):
        os.utime(path, ns=(10**18, 10**18))
    after = task_for(directory_store, str(root))
    assert after.key != before.key
    assert prepare(directory_store, after, tmp_path / "two").digest == first.digest


@pytest.mark.s3
def test_the_same_pictures_in_s3_give_the_same_digest(s3_store: Store, directory_store: Store, tmp_path: Path) -> None:
    root = two_classes(tmp_path / "data")
    save(scene(60), root / "cat" / "a b" / "ü.png")
    (root / "dog" / "bad.jpg").write_bytes(b"")
    (root / "labels.md").write_text("x")
    for path in root.rglob("*"):
        if path.is_file():
            s3_store.upload(path, path.relative_to(root).as_posix())
    here = prepare(directory_store, task_for(directory_store, str(root), max_bad=0.5), tmp_path / "one")
    there = prepare(directory_store, task_for(directory_store, s3_store.url, max_bad=0.5), tmp_path / "two")
    assert there.digest == here.digest
    assert there.manifest.key != here.manifest.key


@pytest.mark.s3
def test_a_folder_that_was_put_is_prepared_alike(s3_store: Store, directory_store: Store, tmp_path: Path) -> None:
    """`data put`, then the bucket: one digest from prepare on, with empty classes, links inside and files without a label."""
    from tlbatch.datasets.copying import put

    root = two_classes(tmp_path / "data", 3)
    for name in ("notes.md", "cat/.hidden", "cat/bad.jpg"):
        (root / name).write_bytes(b"no picture")
    (root / "emu").mkdir()
    (root / "hound").symlink_to("dog")
    put(root, s3_store)
    here = prepare(directory_store, task_for(directory_store, str(root), max_bad=0.5), tmp_path / "one")
    there = prepare(directory_store, task_for(directory_store, s3_store.url, max_bad=0.5), tmp_path / "two")
    assert there.digest == here.digest
    assert there.read_json("card.json")["empty_classes"] == ["emu"]


@pytest.mark.s3
def test_into_an_s3_store(s3_store: Store, tmp_path: Path) -> None:
    root = two_classes(tmp_path / "data", 3)
    artifact = prepare(s3_store, task_for(s3_store, str(root)), tmp_path / "scratch")
    for entry in load_index(artifact):
        assert read_stored(artifact, entry) == (root / entry.path).read_bytes()


def test_the_output_stays_what_it_was(prepared, tmp_path):
    """Raise prepare's version (tlbatch/steps.py) when this changes. Lossless files only, so that no encoder's build matters."""
    root = tmp_path / "data"
    for label in ("cat", "dog"):
        for number in range(4):
            levels = np.random.default_rng([len(label), ord(label[0]), number]).integers(0, 255, (20, 30, 3), dtype=np.uint8)
            header = b"P6 30 20 255\n"
            path = root / label / f"{number}.png"
            save(Image.open(io.BytesIO(header + levels.tobytes())), path, compress_level=0)
    lines = prepared(root).read_bytes("index.jsonl")
    entries = [json.loads(line) for line in lines.decode().splitlines()]
    what = [(entry["id"], entry["path"], entry["shard"], entry["width"], entry["format"]) for entry in entries]
    assert f"{zlib.crc32(json.dumps(what).encode()):08x}" == "4e839bd7"


# ---- as a process ----


def test_a_stop_is_honoured_in_the_midst(directory_store, tmp_path):
    root = two_classes(tmp_path / "data", 20)
    asked: list[int] = []
    task = task_for(directory_store, str(root))
    with pytest.raises(Stopped):
        prepare(directory_store, task, tmp_path / "scratch", stop=lambda: bool(asked.append(1)) or len(asked) > 5)
    assert len(asked) == 6
    assert not (tmp_path / "scratch" / "out" / "grid.jpg").exists()  # not even all files were read
    assert open_artifact(directory_store, "prepare", task.key, tmp_path) is None


def step(store: Store, task: Task) -> subprocess.CompletedProcess[str]:
    store.put(task_name(task.key), task.to_json())
    command = [sys.executable, "-m", "jobs.prepare", "--task", f"{store.url}/{task_name(task.key)}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_as_a_program(directory_store, tmp_path):
    root = two_classes(tmp_path / "data")
    task = task_for(directory_store, str(root))
    ended = step(directory_store, task)
    assert (ended.returncode, ended.stderr) == (0, "")
    progress = json.loads(directory_store.get(f"work/{task.key}/progress.json"))
    assert (progress["done"], progress["total"], progress["unit"]) == (12, 12, "images")
    assert open_artifact(directory_store, "prepare", task.key, tmp_path) is not None
    for number in range(4):
        (root / "cat" / f"bad{number}.jpg").write_text("no")
    ended = step(directory_store, task_for(directory_store, str(root)))
    assert ended.returncode == 65
    assert "prepare: 1 of 16 files cannot be used" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.shared
def test_photographs(prepared, tmp_path, shared_data):
    root = tmp_path / "data"
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        for path in sorted(shared_data(f"data/dogs-vs-cats/{label}").glob("*.jpg"))[:150]:
            shutil.copy(path, root / label)
    artifact = prepared(root)
    assert len(load_index(artifact)) == 300
    assert artifact.read_json("card.json")["sizes"]["reencoded"] == 0


@pytest.mark.parametrize("damage", [None, b"", b"[]", b"{", b"other"])
def test_a_listing_that_vanished_or_rotted_is_a_sentence_to_run_again(
    directory_store: Store, tmp_path: Path, damage: bytes | None
) -> None:
    """Failed before: exit 1, or another listing's pictures under this key."""
    task = task_for(directory_store, str(two_classes(tmp_path / "pictures", 2)))
    directory_store.put(task_name(task.key), task.to_json())
    name = task.locations["listing"]
    if damage == b"other":
        damage = directory_store.get(task_for(directory_store, str(two_classes(tmp_path / "more", 3))).locations["listing"])
    if damage is None:
        directory_store.delete([name])
    else:
        directory_store.put(name, damage)
    command = [sys.executable, "-m", "jobs.prepare", "--task", f"{directory_store.url}/{task_name(task.key)}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 75, ended.stderr
    assert "run the study again, which writes it anew" in ended.stderr
    assert json.loads(directory_store.get(f"work/{task.key}/exit.json"))["code"] == 75
