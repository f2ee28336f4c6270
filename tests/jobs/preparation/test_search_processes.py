"""The whole step with a search for near copies that processes share: the same bytes, and how it ends when it is disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs import workers
from tests.jobs.kinds.image.test_near_duplicates import PLANTED
from tests.jobs.test_prepare import prepare, save, scene, task_for
from tests.jobs.test_workers import ENDED_WITHIN_S, alive
from tests.noise import noise
from tlbatch.contracts import data as contract
from tlbatch.records.task_records import read_exit
from tlbatch.store.artifacts import load_manifest
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import task_name

SCENES = 540


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up pictures and copies of some, in two classes."""
    root = tmp_path_factory.mktemp("data")
    for number in range(SCENES):
        save(scene(number), root / "ab"[number % 2] / f"{number}.png")
    for number, change in enumerate([*PLANTED.values()] * 4):
        save(change(scene(number), random.Random(number)), root / "ba"[number % 2] / f"copy{number}.png")
    return root


@pytest.mark.parametrize("all_pairs", [50_000, 300], ids=["all pairs", "lists"])
def test_the_number_of_cores_changes_no_byte(
    tmp_path: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch, all_pairs: int
) -> None:
    started: list[int] = []
    start = workers._Worker.__init__
    monkeypatch.setattr(workers._Worker, "__init__", lambda worker: (start(worker), started.append(worker.process.pid))[0])
    monkeypatch.setattr(contract, "SHARED_FROM", 300)
    monkeypatch.setattr(contract, "ALL_PAIRS", all_pairs)
    digests, cards = [], []
    for cores in (1, 2, 5):
        monkeypatch.setenv("TLBATCH_THREADS", str(cores))
        store = DirectoryStore(tmp_path / f"store-{cores}")
        artifact = prepare(store, task_for(store, str(scenes)), tmp_path / f"scratch-{cores}")
        digests.append(artifact.digest)
        cards.append(artifact.read_json("card.json"))
    assert digests[0] == digests[1] == digests[2]
    assert ("inverted file" in cards[0]["method"]) == (all_pairs == 300)
    near = cards[0]["duplicates"]["near"]
    assert len(near) >= 18
    assert len(started) == 2 + 3, "of three blocks: no more processes than there is work for, and none for one core"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    for number in range(contract.SHARED_FROM):
        save(noise(str(number), (8, 8), 60).convert("RGB").resize((64, 64)), root / "ab"[number % 2] / f"{number}.png")
    return root


class Step:
    """``python -m jobs.prepare`` of ``many``, disturbed as soon as its search has begun."""

    def __init__(self, store: DirectoryStore, root: Path) -> None:
        self.store, self.task = store, task_for(store, str(root))
        store.put(task_name(self.task.key), self.task.to_json())

    def ends(self, number: int | None = None, *, worker: bool = False) -> tuple[int, list[int]]:
        """Its exit code, and its processes."""
        command = [sys.executable, "-m", "jobs.prepare", "--task", f"{self.store.url}/{task_name(self.task.key)}"]
        with subprocess.Popen(command, env={**os.environ, "TLBATCH_THREADS": "2"}, stdout=subprocess.DEVNULL) as process:
            own: list[int] = []
            while process.poll() is None and len(own) < 2:
                own = workers_of(process.pid)
            if number is not None:
                os.kill(own[0] if worker else process.pid, number)
            return process.wait(60), own

    def said(self) -> str:
        return str((read_exit(self.store, self.task.key) or {})["sentence"])


def workers_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [int(row[0]) for row in rows if len(row) == 3 and row[1] == str(pid) and "jobs.workers" in row[2]]


def gone(own: list[int]) -> bool:
    deadline = time.monotonic() + ENDED_WITHIN_S
    while any(alive(pid) for pid in own) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(alive(pid) for pid in own)


def test_a_step_that_is_disturbed_leaves_no_process_and_goes_on(tmp_path: Path, many: Path) -> None:
    step = Step(DirectoryStore(tmp_path / "store"), many)
    for number, worker, code, said in (
        (signal.SIGTERM, False, 143, "asked to stop; a later start goes on from here"),
        (signal.SIGINT, False, 143, "asked to stop"),
        (signal.SIGKILL, True, 137, "one of the processes that share this step's work was killed, most likely for memory"),
    ):
        ended, own = step.ends(number, worker=worker)
        assert (ended, len(own)) == (code, 2)
        assert step.said().startswith(said)
        assert gone(own)
    ended, own = step.ends(signal.SIGKILL)
    assert ended == -signal.SIGKILL
    assert gone(own)
    ended, own = step.ends()
    assert (ended, len(own)) == (0, 2)
    assert gone(own)
    manifest = load_manifest(step.store, "prepare", step.task.key)
    assert manifest is not None
    assert manifest.made["images"] == contract.SHARED_FROM
