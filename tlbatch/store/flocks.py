"""Locks between processes by flock(2): the system gives them up when their holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

POLL_S = 0.05


def take(path: Path) -> int | None:
    """The lock file, open and locked, or None where another has it locked. Never waits.

    Closing it gives the lock up. Raises OSError where the file system has no flock, or the file cannot be written.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), path.stat()):
                    return file
        except BlockingIOError:
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # its holder removed it before it was locked here: a lock that nobody else would ask for


@contextmanager
def locked(path: Path, wait_s: float, *, remove: bool = False, waits: Callable[[], object] = lambda: None) -> Iterator[bool]:
    """Hold a lock file; False where it was not to be had in ``wait_s`` or at all. With ``remove`` the file is gone afterwards.

    It is asked for again and again, since a flock(2) that waits cannot be given up. ``waits`` is called each time that it was
    not to be had; what it raises ends the waiting.
    """
    file, until = None, time.monotonic() + wait_s
    with suppress(OSError):  # a full disk, no locks: what the lock is for is only work saved
        while (file := take(path)) is None and time.monotonic() < until:
            waits()
            time.sleep(POLL_S)
    try:
        yield file is not None
    finally:
        if file is not None:
            if remove:
                with suppress(OSError):
                    path.unlink()
            os.close(file)
