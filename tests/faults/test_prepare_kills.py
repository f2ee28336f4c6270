"""A prepare killed (SIGKILL) again and again, whole or as shards: the same bytes, and what was saved is not read again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.faults.conftest import Ward
from tests.noise import noise
from tlbatch.datasets.inventory import list_dataset
from tlbatch.spec.dataset import Dataset
from tlbatch.store import open_store
from tlbatch.store.artifacts import load_manifest
from tlbatch.tasks import InputRef, Task, task_name

pytestmark = pytest.mark.slow
FILES = 24
KILLED = -9


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    environment = {**os.environ, "TLBATCH_THREADS": "1", "TLBATCH_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "tests.faults.dying"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": True}
        (folder / "store").mkdir()
        yield Ward(open_store(str(folder / "store")), folder, process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def ref(ward: Ward) -> InputRef:
    """The task, and the digest that it ends with where nobody disturbs it."""
    for label in ("cat", "dog"):
        (ward.folder / "data" / label).mkdir(parents=True)
        for number in range(FILES // 2):
            drawn = noise(f"{label}{number % 9}", (50, 60), 12).convert("RGB")
            drawn.save(ward.folder / "data" / label / f"{number}.{'bmp' if number > 8 else 'png'}")
    listing = list_dataset(Dataset.model_validate({"url": str(ward.folder / "data")}))
    settings = {"dataset": listing.digest, "stored_size": 512, "max_bad": 0.0, "near_duplicates": True}
    name = f"work/{Task('prepare', settings).key}/listing.json"
    task = Task("prepare", settings, locations={"dataset": listing.url, "listing": name})
    ward.store.put(name, listing.to_json())
    ward.store.put(task_name(task.key), task.to_json())
    found = InputRef("prepare", task.key, "")
    assert ward.attempt(found) == 0, ward.said()
    return InputRef("prepare", task.key, ward.manifest(found).digest)


def saved_files(ward: Ward, ref: InputRef) -> int:
    """Of which parts have been saved: a part for every file here."""
    return sum(stat.name.endswith(".part") for stat in ward.store.list(f"work/{ref.key}/checkpoints/read/"))


def test_killed_at_three_points_it_reads_only_what_no_part_has(ward: Ward, ref: InputRef) -> None:
    ward.forget(ref)
    had = 0
    for at in (4, 9, 7):
        assert ward.attempt(ref, at, "after") == KILLED, ward.said()
        assert saved_files(ward, ref) > had
        had = saved_files(ward, ref)
    assert 8 < had < FILES
    assert ward.attempt(ref) == 0, ward.said()
    manifest = ward.manifest(ref)
    assert manifest.digest == ref.digest
    assert manifest.made["read"] == FILES - had
    assert list(ward.store.list(f"work/{ref.key}/checkpoints/")) == []


@pytest.mark.parametrize("count", [2, 4])
def test_shards_killed_at_writes_leave_what_one_does(ward: Ward, ref: InputRef, count: int) -> None:
    """Each shard, the one that puts all together too, dies at writes of its own before it lives."""
    ward.forget(ref)
    killed = 0
    for index in reversed(range(count)):
        arguments = ("--shard", f"{index}/{count}")
        for at, when in ((3, "before"), (2, "after"), (5, "before"), (8, "after")):
            killed += ward.attempt(ref, at, when, arguments) == KILLED
        assert ward.attempt(ref, arguments=arguments) == 0, ward.said()
        assert (load_manifest(ward.store, "prepare", ref.key) is not None) == (index == 0)
    assert killed > count
    assert ward.manifest(ref).digest == ref.digest
    assert list(ward.store.list(f"work/{ref.key}/checkpoints/")) == []
