"""The space that a cache of fetched files takes: what lies there, what is in use, and what goes when it is to get smaller.

::

    files/<name>             what was fetched, by content; its access time says when it was last used
    in-use/<process>/<name>  hard links to what a process uses, and what it is fetching; ``lock`` is held while it lives
    locks/<name>             held by who fetches the file
    reports/<execution>/     pages that were opened in a browser
    lock                     held by who counts and removes

A file with a second link is in use. It is never removed here; and if it were, by hand, who uses it has it by its own link.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tlbatch.store.flocks import take

FILES, IN_USE, LOCKS, REPORTS, LOCK = "files", "in-use", "locks", "reports", "lock"
MOST_BYTES = 20 * 2**30
READ_BY_PEOPLE_S = 3600.0
"""A page that was opened within it may still be read."""


@dataclass(frozen=True)
class Entry:
    """What can be removed alone: a file, or a report's folder. ``used``: Unix time in s of the last use."""

    path: Path
    size: int
    used: float


@dataclass(frozen=True)
class Space:
    """What a cache holds. ``held`` and ``in_use`` in bytes, ``idle``: what nobody uses, longest unused first."""

    held: int
    in_use: int
    files: int
    idle: tuple[Entry, ...]


def default_limit(root: Path, held: int) -> int:
    """20 GiB, but no more than half of what the file system could give: what is free there, and what the cache holds of it.

    20 GiB are the shards and features of some hundred thousand pictures; a disk must not be full of what can be fetched again.
    """
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    return min(MOST_BYTES, (held + shutil.disk_usage(there).free) // 2)


def look(root: Path) -> Space:
    """Count. What other processes remove meanwhile is left out."""
    sizes: dict[int, int] = {}
    in_use: dict[int, int] = {}
    idle, files = [], 0
    for path, status in _files(root / FILES):
        files += 1
        sizes[status.st_ino] = status.st_size
        if status.st_nlink > 1:
            in_use[status.st_ino] = status.st_size
        else:
            idle.append(Entry(path, status.st_size, status.st_atime))
    for folder in _folders(root / IN_USE):
        in_use |= {status.st_ino: status.st_size for _, status in _files(folder)}
    reports = [found for folder in _folders(root / REPORTS) if (found := _report(folder)) is not None]
    idle += [report for report in reports if time.time() - report.used > READ_BY_PEOPLE_S]
    held = sum((sizes | in_use).values()) + sum(report.size for report in reports)
    return Space(held, sum(in_use.values()), files, tuple(sorted(idle, key=lambda entry: entry.used)))


def remove(space: Space, bytes_: int) -> int:
    """Remove what was used longest ago until so many bytes are free; returns how many are.

    Who begins to use a file at this very moment keeps it by its own link, and the space is free when that process ends.
    """
    freed = 0
    for entry in space.idle:
        if freed >= bytes_:
            break
        with suppress(OSError):
            shutil.rmtree(entry.path) if entry.path.is_dir() else entry.path.unlink()
            freed += entry.size
    return freed


def sweep(root: Path) -> None:
    """Remove what killed processes left: their links, what they had fetched in part, their locks. Under the cache's lock."""
    for folder in _folders(root / IN_USE):
        _if_left(folder / LOCK, lambda folder=folder: shutil.rmtree(folder, ignore_errors=True))  # type: ignore[misc]
    for path, _ in _files(root / LOCKS):
        _if_left(path, lambda path=path: path.unlink(missing_ok=True))  # type: ignore[misc]


def _if_left(lock: Path, then: Callable[[], None]) -> None:
    with suppress(OSError):
        file = take(lock)
        if file is not None:
            try:
                then()
            finally:
                os.close(file)


def _report(folder: Path) -> Entry | None:
    found = [status for each in (Path(at) for at, _, _ in os.walk(folder)) for _, status in _files(each)]
    return Entry(folder, sum(each.st_size for each in found), max(each.st_atime for each in found)) if found else None


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for entry in _entries(folder):
        with suppress(FileNotFoundError):
            if entry.is_file(follow_symlinks=False):
                yield Path(entry.path), entry.stat(follow_symlinks=False)


def _folders(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        return list(entries)
    return []
