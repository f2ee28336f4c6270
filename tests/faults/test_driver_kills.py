"""The driver killed with all its tasks, at its own writes and at random moments; the same command goes on to the same end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Season, digests
from tests.faults.records import record
from tests.requirements import chaos_only
from tests.studies.shapes import Bench
from tlbatch.store import open_store

LIVES = 40


def command(at: int, when: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.faults.mortal", str(at), when, "--", *arguments]


@chaos_only
@pytest.mark.slow
def test_a_driver_killed_at_its_writes_goes_on_to_the_same_end(fresh: Bench, undisturbed: dict[str, str]) -> None:
    """Promises 1 and 2. Mutation tried: a driver that does not look for the artifact after it got the lease."""
    chance, killed = random.Random(7), 0
    run = ["run", str(fresh.study), "--store", str(fresh.store), "-q"]
    for _ in range(LIVES):
        done = subprocess.run(
            command(chance.randint(1, 40), chance.choice(["before", "after"]), *run),
            capture_output=True,
            timeout=600,
            check=False,
        )
        assert done.returncode in (0, -9), done.stderr.decode()
        killed += done.returncode == -9
        if done.returncode == 0:
            break
    _ends_equally(run, fresh, undisturbed)
    record("driver", "SIGKILL at its writes", "equal", killed)


@chaos_only
@pytest.mark.slow
def test_driver_and_tasks_killed_at_random_moments(fresh: Bench, undisturbed: dict[str, str]) -> None:
    chance, killed = random.Random(11), 0
    run = ["run", str(fresh.study), "--store", str(fresh.store), "-q"]
    for _ in range(LIVES):
        with subprocess.Popen(command(0, "", *run), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                process.communicate(timeout=chance.uniform(1.0, 25.0))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += 1
            process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -9
    _ends_equally(run, fresh, undisturbed)
    record("driver and tasks", "SIGKILL at random moments", "equal", killed)


def _ends_equally(run: list[str], fresh: Bench, undisturbed: dict[str, str]) -> None:
    done = subprocess.run(command(0, "", *run), capture_output=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert digests(open_store(str(fresh.store))) == undisturbed


@pytest.mark.slow
@pytest.mark.s3
def test_an_upload_killed_at_its_writes_goes_on(season: Season, s3_bucket: str, tmp_path: Path) -> None:
    """``data put``: the same command again sends what is missing, and the bucket has every file as it is."""
    url, killed = f"s3://{s3_bucket}/upload", 0
    for at in (1, 5, 17, 3):
        done = subprocess.run(
            command(at, "after", "data", "put", str(season.nights.images), url), capture_output=True, timeout=120, check=False
        )
        assert done.returncode in (0, -9), done.stderr.decode()
        killed += done.returncode == -9
    done = subprocess.run(
        command(0, "", "data", "put", str(season.nights.images), url, "-o", "json"), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["sent"] > 0
    store = open_store(url)
    there = {stat.name: store.get(stat.name) for stat in store.list()}
    assert there == {
        p.relative_to(season.nights.images).as_posix(): p.read_bytes() for p in season.nights.images.rglob("*.png")
    }
    record("upload (data put)", "SIGKILL at its writes", "equal", killed)


@pytest.mark.slow
def test_no_process_is_left_behind(fresh: Bench) -> None:
    """A driver that is killed takes its tasks with it: nobody computes on for nobody."""
    marker = f"TLBATCH_TEST_MARK={os.getpid()}-{time.monotonic_ns()}"
    environment = {**os.environ, **dict([marker.split("=")])}
    run = command(0, "", "run", str(fresh.study), "--store", str(fresh.store), "-q")
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (fresh.store / "tasks").exists():
        time.sleep(0.05)
    time.sleep(2.0)
    process.kill()
    process.wait()
    while time.monotonic() < deadline and (left := _marked(marker)):
        time.sleep(0.2)
    assert not left
    record("driver", "SIGKILL: processes that it leaves behind", "none")


def _marked(marker: str) -> list[int]:
    """Processes whose environment has the marker."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found
