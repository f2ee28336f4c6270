"""How fast a step gets at the photographs of a prepared dataset: beside a plain parallel reader, s5cmd and webdataset."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import boto3
import pytest

from jobs.data.index import load_index, read_all_stored
from jobs.extraction.computing import Batch, StoredItems
from jobs.extraction.requested_rows import Wanted
from tests.bench.beside import CORES, SCRIPTS, in_turns, peer
from tests.bench.records import Measured, record
from tests.bench.test_extract import INPUT, Prepared, manifest_of, prepare
from tlbatch.store import open_store
from tlbatch.store.artifacts import Artifact, open_artifact

pytestmark = [pytest.mark.bench, pytest.mark.shared]
EACH, AT_ONCE = 2500, 8
NEAR, OF_S5CMD = 0.8, 0.25
"""Of the speed of plain readers; and of s5cmd, which is no Python and takes a third of the CPU time."""


@pytest.fixture
def prepared(shared_data: Callable[[str], Path], tmp_path: Path) -> Prepared:
    return prepare(tmp_path / "prepared", shared_data("data/dogs-vs-cats"), EACH)


def read_s(dataset: Artifact, size: int) -> float:
    """Seconds until every item was read by as many threads as there are cores, as steps read them."""
    wanted = [Wanted(entry) for entry in load_index(dataset)]
    items, started = StoredItems(dataset, wanted, INPUT), time.perf_counter()

    def read(batch: Batch) -> int:
        return sum(len(data) for _, data in read_all_stored(dataset, [row.entry for row in batch]))

    with ThreadPoolExecutor(CORES) as pool:
        parts = [pool.submit(read, batch) for batch in items.batches(size)]
        assert sum(part.result() for part in parts) == sum(row.entry.size for row in wanted)
    return time.perf_counter() - started


def test_photographs_from_a_bucket_come_as_fast_as_plain_readers_fetch_them(
    prepared: Prepared, s3_bucket: str, tmp_path: Path
) -> None:
    """Ours checks all bytes and reads each photograph; the others fetch the shards alone: boto3 by eight threads, and s5cmd."""
    prefix = "bench-reading"
    store, manifest = open_store(f"s3://{s3_bucket}/{prefix}"), manifest_of(prepared)
    for stat in prepared.store.list("artifacts/prepare/"):
        path = prepared.store.local_path(stat.name)
        assert path is not None
        store.upload(path, stat.name)
    shards = [entry.path for name, entry in manifest.files.items() if name.startswith("shards/")]
    folders = (tmp_path / str(number) for number in count())

    def ours(turn: int) -> float:
        dataset = open_artifact(store, manifest.step, manifest.key, tmp_path / f"cache{turn}")
        assert dataset is not None
        return read_s(dataset, AT_ONCE)

    def plain() -> float:
        client, folder = boto3.client("s3"), next(folders)
        folder.mkdir()
        started = time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for number, name in enumerate(shards):
                pool.submit(client.download_file, s3_bucket, f"{prefix}/{name}", str(folder / str(number)))
        return time.perf_counter() - started

    def s5cmd() -> float:
        folder, started = next(folders), time.perf_counter()
        source = f"s3://{s3_bucket}/{prefix}/{shards[0].rpartition('/')[0]}/*"
        command = [*peer("s5cmd"), "--endpoint-url", os.environ["AWS_ENDPOINT_URL_S3"], "cp", source, f"{folder}/"]
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - started
        assert len(list(folder.iterdir())) == len(shards)
        return seconds

    slower = []
    for name, other, goal in (("boto3, eight threads", plain, NEAR), ("s5cmd", s5cmd, OF_S5CMD)):
        mine, theirs = in_turns(ours, other)
        found = Measured("photographs from a bucket", name, 2 * EACH, mine, theirs, goal)
        record(found)
        for turn in range(4):  # each was to find its cache empty
            subprocess.run(["rm", "-rf", str(tmp_path / f"cache{turn}")], check=True)
        if found.ratio < goal:
            slower.append(f"{name}: {found.ratio:.2f}")
    assert not slower


def test_photographs_from_a_folder_beside_webdataset(prepared: Prepared) -> None:
    """Both read the same tar files, which lie in memory: ours checks them first, and reads each photograph by its place."""
    manifest, script = manifest_of(prepared), SCRIPTS / "webdataset_read.py"
    shards = [
        str(prepared.store.local_path(entry.path)) for name, entry in manifest.files.items() if name.startswith("shards/")
    ]
    versions: dict[str, str] = {}

    def webdataset() -> float:
        done = subprocess.run([*peer("python"), str(script), *shards], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["files"] == len({entry.id for entry in load_index(prepared.artifact(manifest))})
        versions["webdataset"] = found["webdataset"]
        return float(found["seconds"])

    ours, theirs = in_turns(lambda turn: read_s(prepared.artifact(manifest), AT_ONCE), webdataset)
    found = Measured("photographs from a folder", "webdataset", 2 * EACH, ours, theirs, 1.0, versions)
    record(found)
    assert found.ratio >= 1.0
