"""Folders for temporary files of a process that may be killed: what one leaves so, the next one of its kind removes.

A folder is held by a lock on a file in it, which the system gives up with the last process that has it open: the one that
made the folder, and those that it hands ``descriptor`` to. Neither times nor process numbers are asked.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

HELD = ".held"


class Scratch:
    """A new folder ``path``, named from ``prefix``; first those of that prefix are removed that nobody holds any more."""

    def __init__(self, prefix: str) -> None:
        remove_abandoned(prefix)
        self._folder = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
        self.path = Path(self._folder.name)
        self.descriptor: int | None = _hold(self.path)

    def remove(self) -> None:
        if self.descriptor is not None:
            self._folder.cleanup()
            os.close(self.descriptor)
            self.descriptor = None


def remove_abandoned(prefix: str) -> None:
    """Of this user's folders alone; one that is not held in this way is not ours to judge."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
                _remove_unless_held(folder)


def _remove_unless_held(folder: Path) -> None:
    held = os.open(folder / HELD, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for inner in folder.iterdir():
            if inner.name == HELD:
                continue  # goes last: who is killed here leaves it to the next
            if inner.is_dir() and not inner.is_symlink():
                shutil.rmtree(inner)
            else:
                inner.unlink()
        shutil.rmtree(folder)
    finally:
        os.close(held)


def _hold(folder: Path) -> int:
    """The lock stands before the file has its name: nobody finds one that is not held yet."""
    unnamed = folder / f"{HELD}-new"
    held = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o600)
    with suppress(OSError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(folder / HELD)
    return held
