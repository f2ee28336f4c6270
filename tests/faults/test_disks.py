"""No room, or no right to write: store, scratch. A sentence with the way out, and the same command goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import digests
from tests.faults.records import record
from tests.faults.test_driver_kills import command
from tests.requirements import chaos_only, missing
from tests.studies.shapes import Bench
from tlbatch.store import open_store

pytestmark = [pytest.mark.slow, chaos_only]


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Path]:
    """A file system of so many KiB at ``folder`` (tmpfs, for root)."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        missing("root", "a disk that fills up needs root, and the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def run(bench: Bench, store: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = command(0, "", "run", str(bench.study), "--store", str(store), "-q")
    return subprocess.run(
        given,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "AWS_MAX_ATTEMPTS": "2", **environment},
    )


@pytest.mark.parametrize("kib", [64, 700])
def test_a_store_without_room_is_a_sentence_and_nothing_is_lost(
    fresh: Bench, undisturbed: dict[str, str], tmp_path: Path, kib: int
) -> None:
    with small_disk(tmp_path / "disk", kib) as disk:
        done = run(fresh, disk / "store")
        assert done.returncode == 75, done.stderr
        assert "no space" in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        assert run(fresh, disk / "store").returncode == 0
        assert digests(open_store(str(disk / "store"))) == undisturbed
    record("store in a folder", f"disk full at {kib} KiB", "exit 75; with room again equal")


def test_a_scratch_disk_without_room_is_a_sentence(fresh: Bench, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 48) as disk:
        done = run(fresh, tmp_path / "store", TMPDIR=str(disk))
        assert done.returncode in (2, 75), (done.returncode, done.stderr)
        assert "Traceback" not in done.stderr
        assert "no space" in (done.stderr + done.stdout).lower() or "no room" in (done.stderr + done.stdout).lower()
    assert run(fresh, tmp_path / "store").returncode == 0
    record("scratch folder", "disk full", f"exit {done.returncode}; with room again it goes on")


def test_a_store_that_cannot_be_written_is_a_sentence(fresh: Bench, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        with small_disk(tmp_path / "disk", 1000) as disk:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            done = run(fresh, disk / "store")
    else:
        (tmp_path / "disk").mkdir(mode=0o500)
        done = run(fresh, tmp_path / "disk" / "store")
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    record("store in a folder", "read-only", "exit 2 and a sentence")
