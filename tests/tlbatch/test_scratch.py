"""Folders of processes that were killed: the next one removes them, and no other's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tlbatch.scratch import HELD, Scratch, remove_abandoned

PREFIX = "tlbatch-example-"
HOLDING = """
import os, subprocess, sys
from tlbatch.scratch import Scratch
scratch = Scratch("tlbatch-example-")
(scratch.path / "large").mkdir()
(scratch.path / "large" / "items").write_bytes(b"0" * 1000)
if sys.argv[1] == "handed on":
    held = [scratch.descriptor]
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=sys.stdin, pass_fds=held, start_new_session=True)
    print(child.pid, flush=True)
print(scratch.path, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def holding(how: str) -> tuple[subprocess.Popen[str], list[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert process.stdout is not None
    return process, [process.stdout.readline().strip() for _ in range(2 if how == "handed on" else 1)]


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def test_what_a_killed_process_left_goes_with_the_next() -> None:
    """Fails when a folder is removed that is still held, or one stays that nobody holds."""
    process, (left,) = holding("alone")
    remove_abandoned(PREFIX)
    assert Path(left, "large", "items").exists(), "it is at work"
    killed(process)
    assert Path(left).exists()
    own = Scratch(PREFIX)
    assert not Path(left).exists()
    remove_abandoned(PREFIX)
    assert own.path.exists()
    own.remove()
    own.remove()
    assert not own.path.exists()


def test_whom_it_was_handed_to_holds_it_after_the_maker() -> None:
    """A task that saves its state when its driver was killed."""
    process, (child, left) = holding("handed on")
    try:
        killed(process)
        remove_abandoned(PREFIX)
        assert Path(left).exists()
    finally:
        os.kill(int(child), signal.SIGKILL)
    while Path(f"/proc/{child}").exists() and " Z " not in Path(f"/proc/{child}/stat").read_text():
        pass
    remove_abandoned(PREFIX)
    assert not Path(left).exists()


def test_others_folders_stay(folder: Path) -> None:
    """One of an older version, which knew no lock, may be in use; so may what a name leads elsewhere."""
    older, elsewhere = folder / f"{PREFIX}old", folder / "elsewhere"
    for each in (older, elsewhere):
        each.mkdir()
    (older / "items").touch()
    for name in (HELD, "letters"):
        (elsewhere / name).touch()
    (folder / f"{PREFIX}link").symlink_to(elsewhere)
    (folder / f"{PREFIX}file").touch()
    remove_abandoned(PREFIX)
    assert (older / "items").exists()
    assert {path.name for path in elsewhere.iterdir()} == {HELD, "letters"}
    assert (folder / f"{PREFIX}file").exists()


def test_who_was_killed_while_removing_leaves_it_to_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = folder / f"{PREFIX}left"
    for name in ("a", "z"):
        (left / name).mkdir(parents=True)
    (left / HELD).touch()
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda path: (_ for _ in ()).throw(OSError(f"killed at {path}")))
        remove_abandoned(PREFIX)
    assert (left / HELD).exists()
    remove_abandoned(PREFIX)
    assert not left.exists()
