"""Shards: any tar reader reads them, the index's offsets point into them, and an image's place is its own."""

from __future__ import annotations

import hashlib
import json
import random
import tarfile
from pathlib import Path

from jobs.data.items import SpooledItem
from jobs.data.shards import Spool, shard_digits, write_shards


def pictures(spool: Spool, numbers: list[int]) -> dict[str, SpooledItem]:
    found = {}
    for number in numbers:
        data = f"picture {number} ".encode() * (number % 7 + 1)
        name = hashlib.sha256(data).hexdigest()[:40]
        offset = spool.add(name, data)
        found[name] = SpooledItem(name, offset, len(data), "jpg", {}, True)
    return found


def write(folder: Path, numbers: list[int]) -> list[tuple[str, str, int]]:
    def out(name: str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    spool = Spool(folder / "spool")
    items = [(item, "ü") for _, item in sorted(pictures(spool, numbers).items())]
    written = write_shards(items, shard_digits(len(items)), spool, lambda item, label: {"id": item.id, "label": label}, out)
    places = [(item.id, shard, offset) for item, _, shard, offset in written]
    spool.close()
    return places


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "shards").iterdir()}


def test_offsets_point_at_the_images_and_tars_are_tars(tmp_path):
    places = write(tmp_path, list(range(60)))
    seen = {}
    for path in (tmp_path / "shards").iterdir():
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            assert [member.name for member in members] == sorted(member.name for member in members)
            assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {(0, 0, 0, "")}
            seen |= {member.name: tar.extractfile(member).read() for member in members}
    assert len(seen) == 120
    for name, shard, offset in places:
        data = seen[f"{name}.jpg"]
        assert hashlib.sha256(data).hexdigest()[:40] == name
        assert (tmp_path / shard).read_bytes()[offset : offset + len(data)] == data
        assert json.loads(seen[f"{name}.json"]) == {"id": name, "label": "ü"}
    assert not list((tmp_path / "spool").iterdir())


def test_order_of_arrival_does_not_matter(tmp_path):
    numbers = list(range(60))
    write(tmp_path / "one", numbers)
    random.Random(1).shuffle(numbers)
    write(tmp_path / "other", numbers)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_a_new_image_changes_its_own_shard_only(tmp_path):
    write(tmp_path / "one", list(range(60)))
    places = write(tmp_path / "other", list(range(61)))
    new = {name for name, _, _ in places} - {name for name, _, _ in write(tmp_path / "again", list(range(60)))}
    changed = {name for name, data in contents(tmp_path / "other").items() if contents(tmp_path / "one").get(name) != data}
    assert len(new) == 1
    assert changed == {f"{new.pop()[0]}.tar"}


def test_more_pictures_more_shards(tmp_path, monkeypatch):
    assert (shard_digits(2000), shard_digits(2001), shard_digits(10**6)) == (1, 2, 2)
    monkeypatch.setattr("jobs.data.shards.MANY_ITEMS", 50)
    places = write(tmp_path, list(range(60)))
    assert {shard for _, shard, _ in places} == {f"shards/{name[:2]}.tar" for name, _, _ in places}
