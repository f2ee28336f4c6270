"""What is in a file that a user names: never waited for without end, never read without bound."""

from __future__ import annotations

import os
import select
import stat
import time
from pathlib import Path
from typing import Any

from tlbatch.errors import StudyError
from tlbatch.schema.yamltree import MAX_TEXT, lines_of, read_tree

WAIT_S = 5.0
"""For the first byte, and between two, of a pipe: ``tlbatch check <(envsubst < study.yaml)`` is one."""


def read_bytes(path: Path, what: str, most: int) -> bytes:
    """At most ``most`` bytes of a file or a pipe. ``what`` (a study, a CSV file) is in the sentences.

    Raises FileNotFoundError and IsADirectoryError as they are, StudyError for devices, sockets, pipes that say nothing for
    ``WAIT_S`` seconds, larger files and what cannot be opened.
    """
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(path)
        if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
            raise StudyError(f"{path}: is a device or a socket, not {what}; name a file")
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(path) from error
    except IsADirectoryError:
        raise
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); name {what}") from error
    try:
        return _read(handle, path, what, most)
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from error
    finally:
        os.close(handle)


def _read(handle: int, path: Path, what: str, most: int) -> bytes:
    data = b""
    until = time.monotonic() + WAIT_S
    is_pipe = stat.S_ISFIFO(os.fstat(handle).st_mode)
    while len(data) <= most:
        left = until - time.monotonic()
        if is_pipe and not select.select([handle], [], [], max(left, 0.0))[0]:
            raise StudyError(f"{path}: a pipe into which nothing was written for {WAIT_S:.0f} s; name {what}")
        try:
            piece = os.read(handle, 2**20)
        except BlockingIOError:
            continue
        if not piece and not (is_pipe and not data and left > 0):
            return data
        if not piece:
            time.sleep(0.05)  # a pipe that nobody has opened for writing yet
            continue
        data, until = data + piece, time.monotonic() + WAIT_S
    raise StudyError(f"{path}: is larger than {most / 2**20:,.0f} MiB: is it {what}?")


def read_settings(path: Path, what: str, *, types: bool = True, pipes: bool = True) -> Any:
    """Values of a YAML file as they stand there, without variables; None of an empty one and of ``/dev/null``.

    ``what`` (a kubeconfig) is in the sentences. ``types``: as of ``read_tree``. ``pipes``: false where it is read
    again, when a pipe has nothing left. Raises FileNotFoundError, and StudyError with a line for every mistake.
    """
    if path == Path(os.devnull):
        return None
    try:
        if not pipes and is_pipe(path):
            raise StudyError(f"{path}: a pipe is no file to keep {what} in")
        text = read_bytes(path, what, MAX_TEXT).decode("utf-8-sig")
    except IsADirectoryError as error:
        raise StudyError(f"{path}: is a folder, not {what}") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    tree = read_tree(text, str(path), variables=False, types=types)
    if tree.mistakes:
        raise StudyError("\n".join(lines_of(tree)))
    return tree.value


def is_pipe(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):  # whoever reads it says so
        return False
