"""A prepare that was stopped, damaged or shared goes on from its parts: the same bytes, and nothing decoded twice."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from jobs.context import Context
from jobs.kinds.image.items import ImageItems
from jobs.preparation import reading, saved
from jobs.preparation.merging import own_files
from jobs.preparation.part import Part, PartWriter
from jobs.prepare import run
from tests.noise import noise
from tlbatch.datasets.inventory import list_dataset
from tlbatch.datasets.listing import ListedFile
from tlbatch.errors import DataError, DeadlineError, Stopped
from tlbatch.spec.dataset import Dataset
from tlbatch.store.artifacts import Manifest, load_manifest
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import Task

FILES = 14


def picture(name: str) -> Image.Image:
    return noise(name, (60, 50), 12).convert("RGB")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies in other bytes, near copies, one picture with two labels, files that are none."""
    root = tmp_path_factory.mktemp("data")
    for label in ("cat", "dog"):
        (root / label).mkdir()
        for number in range(4):
            picture(f"{label}{number}").save(root / label / f"{number}.png")
    picture("dog1").save(root / "cat" / "a-contradiction.bmp")
    picture("cat2").save(root / "dog" / "a-contradiction.bmp")
    ImageOps.mirror(picture("dog2")).save(root / "dog" / "mirrored.png")
    picture("dog3").save(root / "dog" / "recompressed.jpg", quality=90)
    (root / "cat" / "none.jpg").write_bytes(b"no picture")
    (root / "dog" / "empty.jpg").write_bytes(b"")
    return root


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by the path of every file that is really decoded."""
    paths: list[str] = []
    read = ImageItems.read

    def counting(self: ImageItems, file: ListedFile, *args: Any, **how: Any) -> Any:
        paths.append(file.path)
        return read(self, file, *args, **how)

    monkeypatch.setattr(ImageItems, "read", counting)
    return paths


@pytest.fixture
def a_part_a_file(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(reading, "PART_FILES", 1)
    return


class Desk:
    """Attempts at one prepare task, each in its own scratch, in one store."""

    def __init__(self, folder: Path, pictures: Path, name: str = "store") -> None:
        self.folder, self.store = folder, DirectoryStore(folder / name)
        self.pictures, self.attempts, self.name = pictures, 0, name
        self.task = self.planned()

    def planned(self) -> Task:
        listing = list_dataset(Dataset.model_validate({"url": str(self.pictures)}))
        settings = {"dataset": listing.digest, "stored_size": 512, "max_bad": 0.5, "near_duplicates": True}
        name = f"work/{Task('prepare', settings).key}/listing.json"
        self.store.put(name, listing.to_json())
        return Task("prepare", settings, locations={"dataset": listing.url, "listing": name})

    def context(self, **how: Any) -> Context:
        self.attempts += 1
        task = replace(self.task, limits=how.pop("limits", {}))
        scratch = self.folder / f"{self.name}-{self.attempts}"
        scratch.mkdir()
        return Context(self.store, task, f"a{self.attempts}", scratch, **how)

    def attempt(self, **how: Any) -> Manifest | None:
        context = self.context(**how)
        run(context)
        return context.finish()

    def stopped_after(self, files: int, **how: Any) -> None:
        asked: list[int] = []
        with pytest.raises(Stopped):
            self.attempt(stop=lambda: bool(asked.append(1)) or len(asked) >= files, **how)

    def parts(self) -> list[str]:
        return [stat.name for stat in self.store.list(f"work/{self.task.key}/checkpoints/read/")]


@pytest.fixture
def desk(tmp_path: Path, pictures: Path) -> Desk:
    return Desk(tmp_path, pictures)


@pytest.fixture
def whole(tmp_path: Path, pictures: Path) -> str:
    """The digest of an undisturbed attempt, in a store of its own."""
    manifest = Desk(tmp_path, pictures, "whole").attempt()
    assert manifest is not None
    return manifest.digest


# ---- stopped and gone on with ----


@pytest.mark.parametrize("files", [1, 6, FILES - 1])
def test_what_was_read_before_a_stop_is_not_read_again(desk: Desk, whole: str, decoded: list[str], files: int) -> None:
    desk.stopped_after(files)
    assert len(desk.parts()) == 1
    decoded.clear()
    manifest = desk.attempt()
    assert manifest is not None
    assert manifest.digest == whole
    assert manifest.made["read"] == len(decoded) == FILES - files
    assert desk.parts() == []


def test_over_its_deadline_it_keeps_what_it_has(desk: Desk) -> None:
    with pytest.raises(DeadlineError):
        desk.attempt(limits={"deadline_s": 0.0})
    assert desk.parts()


@pytest.mark.usefixtures("a_part_a_file")
def test_stopped_again_and_again_it_ends_the_same(desk: Desk, whole: str) -> None:
    for stop in range(2, FILES, 3):
        desk.stopped_after(stop)  # the files that are there already are asked after, too
    manifest = desk.attempt()
    assert manifest is not None
    assert manifest.digest == whole
    assert manifest.made["read"] < FILES


@pytest.mark.usefixtures("a_part_a_file")
def test_what_is_damaged_or_gone_is_read_again_and_no_more(
    desk: Desk, whole: str, decoded: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    desk.stopped_after(8)
    names = desk.parts()
    data = desk.store.get(names[3])
    desk.store.put(names[3], data[:40] + bytes([data[40] ^ 1]) + data[41:])
    desk.store.delete([names[5]])
    decoded.clear()
    manifest = desk.attempt()
    assert manifest is not None
    assert manifest.digest == whole
    assert manifest.made["read"] == FILES - 8 + 2
    assert "is damaged: its 1 files are read again" in capsys.readouterr().out


def test_parts_by_another_version_are_left_aside(desk: Desk, whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(saved, "__version__", "0.0.1")
        desk.stopped_after(8)
    manifest = desk.attempt()
    assert manifest is not None
    assert (manifest.digest, manifest.made["read"]) == (whole, FILES)
    assert desk.parts() == []


def test_a_part_of_what_is_no_longer_listed_so_is_read_again(desk: Desk, whole: str) -> None:
    """As if the listing of this very key had other files: its digest keeps that from happening."""
    desk.stopped_after(8)
    (name,) = desk.parts()
    place, first_file = name.split("-"), desk.store.get(name)
    place[2] = f"{int(place[2], 16) ^ 1:016x}"
    desk.store.put("-".join(place), first_file)
    desk.store.delete([name])
    manifest = desk.attempt()
    assert manifest is not None
    assert (manifest.digest, manifest.made["read"]) == (whole, FILES)


def test_a_file_replaced_while_it_was_stopped_is_read_as_it_is_now(desk: Desk, tmp_path: Path, pictures: Path) -> None:
    desk.pictures = tmp_path / "own"
    shutil.copytree(pictures, desk.pictures)
    desk.task = desk.planned()
    before = desk.task
    desk.stopped_after(8)
    picture("another").save(desk.pictures / "cat" / "0.png")
    with pytest.raises(DataError, match="has changed since it was listed"):
        Desk.attempt(_from_the_start(desk))
    desk.task = desk.planned()
    assert desk.task.key != before.key
    manifest = desk.attempt()
    fresh = Desk(tmp_path, desk.pictures, "fresh").attempt()
    assert manifest is not None
    assert fresh is not None
    assert (manifest.digest, manifest.made["read"]) == (fresh.digest, FILES)


def _from_the_start(desk: Desk) -> Desk:
    """Without its parts: an attempt that has to read the file it was listed with."""
    desk.store.delete(desk.parts())
    return desk


def test_what_could_not_be_read_is_tried_again(desk: Desk, whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that was shut for a while makes no bad files for good."""
    from jobs.data.fetching import Source
    from jobs.data.items import UnreadableError

    read = Source.read

    def shut(self: Source, file: ListedFile) -> bytes:
        if file.path in ("cat/1.png", "cat/3.png"):
            raise UnreadableError("cannot be read (Permission denied)")
        return read(self, file)

    with monkeypatch.context() as patch:
        patch.setattr(Source, "read", shut)
        desk.stopped_after(10)
    manifest = desk.attempt()
    assert manifest is not None
    assert (manifest.digest, manifest.made["read"]) == (whole, FILES - 10 + 2)


# ---- shared by shards ----


@pytest.mark.parametrize("count", [2, 4, 20])
def test_shards_leave_what_one_does(desk: Desk, whole: str, decoded: list[str], count: int) -> None:
    """Fails when the shards' files are put together in the order in which the shards end."""
    order = list(range(count))
    random.Random(count).shuffle(order)
    manifests = [desk.attempt(shard=(index, count)) for index in order]
    assert manifests[:-1] == [None] * (count - 1)
    last = manifests[-1]
    assert last is not None
    assert last.digest == whole
    assert len(decoded) == len(set(decoded))
    assert desk.parts() == []
    assert not list(desk.store.list(f"work/{desk.task.key}/checkpoints/"))


def test_a_shard_that_was_stopped_goes_on_and_another_number_of_shards_too(desk: Desk, whole: str, decoded: list[str]) -> None:
    desk.stopped_after(2, shard=(2, 3))
    decoded.clear()
    assert desk.attempt(shard=(1, 2)) is None
    last = desk.attempt(shard=(0, 2))
    assert last is not None
    assert last.digest == whole
    assert len(decoded) == FILES - 2


def test_one_of_several_puts_the_dataset_together_and_does_so_again_after_a_kill(desk: Desk, whole: str) -> None:
    asked = {"merge": 0}

    def stop() -> bool:
        asked["merge"] += len(desk.parts()) == 2
        return asked["merge"] > 4

    assert desk.attempt(shard=(0, 2)) is None
    with pytest.raises(Stopped):
        desk.attempt(shard=(1, 2), stop=stop)  # while it puts together
    assert desk.attempt(shard=(0, 2)) is None  # all is read, and it is the other's to put together
    again = desk.attempt(shard=(1, 2))
    assert again is not None
    assert again.digest == whole


def test_who_finds_the_task_complete_leaves_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts go when another shard commits, maybe after this one has listed them."""
    assert desk.attempt(shard=(0, 2)) is None
    other = Desk.__new__(Desk)
    other.__dict__ = dict(desk.__dict__, name="other", attempts=100)
    fetch = saved.SavedParts.open

    def after_the_other(self: saved.SavedParts, part: saved.SavedPart) -> Part | None:
        monkeypatch.setattr(saved.SavedParts, "open", fetch)
        assert other.attempt() is not None
        return self.open(part)

    monkeypatch.setattr(saved.SavedParts, "open", after_the_other)
    assert desk.attempt(shard=(1, 2)) is None
    assert load_manifest(desk.store, "prepare", desk.task.key) is not None


def test_too_many_bad_files_of_all_shards_end_it(desk: Desk) -> None:
    desk.task = replace(desk.task, params={**desk.task.params, "max_bad": 0.1})
    listing = desk.store.get(desk.task.locations["listing"])
    desk.task.locations["listing"] = name = f"work/{desk.task.key}/listing.json"
    desk.store.put(name, listing)
    assert desk.attempt(shard=(0, 2)) is None
    with pytest.raises(DataError, match=r"2 of 14 files cannot be used so far.*cat/none.jpg.*dog/empty.jpg"):
        desk.attempt(shard=(1, 2))


def test_shards_divide_the_cost() -> None:
    files = [ListedFile(str(number), 10**6 if number < 10 else 0, "", "cat") for number in range(100)]
    bounds = [own_files(files, index, 4) for index in range(4)]
    assert (bounds[0][0], bounds[-1][1]) == (0, 100)
    assert all(one[1] == two[0] for one, two in pairwise(bounds))
    assert bounds[0][1] < 10 < bounds[-1][0]
    assert [own_files(files[:2], index, 3) for index in range(3)][-1][1] == 2
    assert own_files([], 0, 2) == (0, 0)


# ---- a part ----


@pytest.mark.parametrize("damage", [b"", b"x", b"\xff" * 20, b"[]" + (2).to_bytes(8, "little")])
def test_what_is_no_part_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "part").write_bytes(damage)
    with pytest.raises((ValueError, TypeError)):
        Part(tmp_path / "part")


def test_a_part_holds_each_item_once(tmp_path: Path) -> None:
    from jobs.data.items import BadFile, ReadItem

    writer = PartWriter(tmp_path / "part", 7)
    files = [ListedFile(f"{number}.png", 1, "", "cat") for number in range(3)]
    facts = {"width": 3, "shares": [0.1, 1 / 3]}
    writer.add(ReadItem(files[0], "a" * 40, b"first", "png", facts, likeness=b"like"))
    writer.add(ReadItem(files[1], "a" * 40, b"second", "bmp", {}, likeness=b"else"))
    writer.add(BadFile(files[2], "nön\u2028e", unread=True))
    part = writer.close()
    assert (part.first, part.last) == (7, 10)
    assert part.files == [{"id": "a" * 40}, {"id": "a" * 40}, {"bad": "nön\u2028e", "unread": True}]
    item = part.items["a" * 40]
    assert (part.read(item["stored"]), part.read(item["likeness"]), item["facts"]) == (b"first", b"like", facts)
    part.drop()
    assert not (tmp_path / "part").exists()
