"""No room, or no right to write: store, scratch. A sentence with the way out, and the same command goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import Season, chaos_only
from tests.faults.records import record
from tests.faults.test_driver_kills import command, digests
from tests.requirements import missing

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


@pytest.fixture
def study(season: Season, tmp_path: Path) -> Path:
    shutil.copytree(season.nights.images, tmp_path / "images")
    text = season.nights.study.read_text()
    (tmp_path / "study.yaml").write_text(text[: text.index("schedule:")])
    return tmp_path / "study.yaml"


def run(study: Path, store: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = command(0, "", "run", str(study), "--store", str(store), "-q")
    return subprocess.run(
        given,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "AWS_MAX_ATTEMPTS": "2", **environment},
    )


@pytest.mark.parametrize("kib", [64, 700])
def test_a_store_without_room_is_a_sentence_and_nothing_is_lost(study: Path, tmp_path: Path, kib: int) -> None:
    whole = tmp_path / "whole"
    assert run(study, whole).returncode == 0
    with small_disk(tmp_path / "disk", kib) as disk:
        done = run(study, disk / "store")
        assert done.returncode == 75, done.stderr
        assert "no space" in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        assert run(study, disk / "store").returncode == 0
        assert digests(disk / "store") == digests(whole)
    record("store in a folder", f"disk full at {kib} KiB", "exit 75; with room again equal")


def test_a_scratch_disk_without_room_is_a_sentence(study: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 48) as disk:
        done = run(study, tmp_path / "store", TMPDIR=str(disk))
        assert done.returncode in (2, 75), (done.returncode, done.stderr)
        assert "Traceback" not in done.stderr
        assert "no space" in (done.stderr + done.stdout).lower() or "no room" in (done.stderr + done.stdout).lower()
    assert run(study, tmp_path / "store").returncode == 0
    record("scratch folder", "disk full", f"exit {done.returncode}; with room again it goes on")


def test_a_store_that_cannot_be_written_is_a_sentence(study: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        with small_disk(tmp_path / "disk", 1000) as disk:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            done = run(study, disk / "store")
    else:
        (tmp_path / "disk").mkdir(mode=0o500)
        done = run(study, tmp_path / "disk" / "store")
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    record("store in a folder", "read-only", "exit 2 and a sentence")
