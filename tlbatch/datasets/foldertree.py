"""All files below a folder, links followed; what cannot be followed or opened is named, not skipped."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FoundFile:
    """A file by its '/'-separated path below the root. ``etag`` is made of time and size; ``problem`` says why it is none."""

    path: str
    size: int = 0
    etag: str = ""
    problem: str = ""
    folder: bool = False  #: a folder that could not be opened


def walk_folder(root: Path) -> Iterator[FoundFile]:
    """Every file below ``root``, in no order. Raises OSError where the root itself cannot be opened."""
    yield from _walk(root, "", frozenset({_identity(root)}))


def is_litter(path: str) -> bool:
    """Whether it is what systems leave beside the files of people: hidden files, previews, folder settings."""
    return any(part.startswith(".") or part in LITTER for part in path.split("/"))


LITTER = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir", "lost+found"})


def file_etag(status: os.stat_result) -> str:
    """Changes when a file's time or size does. Nothing is read."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def subfolders(root: Path) -> list[str]:
    """Names of the folders directly in ``root``, sorted. Raises OSError where it cannot be opened."""
    with os.scandir(root) as entries:
        return sorted(
            entry.name for entry in entries if _is_folder(entry) and not is_litter(entry.name) and _is_text(entry.name)
        )


def _walk(folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[FoundFile]:
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        path = prefix + entry.name
        if is_litter(entry.name):
            continue
        if not _is_text(entry.name):
            shown = path.encode(errors="surrogateescape").decode(errors="replace")
            yield FoundFile(shown, problem="its name is not UTF-8; rename it")
        elif not _is_folder(entry):
            yield _file(entry, path)
        elif _identity(Path(entry.path)) in above:
            yield FoundFile(path, problem="a link to a folder above it: a loop")
        else:
            yield from _folder(Path(entry.path), path, above)


def _folder(folder: Path, path: str, above: frozenset[tuple[int, int]]) -> Iterator[FoundFile]:
    try:
        yield from _walk(folder, f"{path}/", above | {_identity(folder)})
    except OSError as error:
        yield FoundFile(path, problem=f"a folder that cannot be opened ({error.strerror})", folder=True)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _file(entry: os.DirEntry[str], path: str) -> FoundFile:
    try:
        status = entry.stat()
    except OSError as error:
        what = "a link that leads nowhere" if entry.is_symlink() else "cannot be read"
        return FoundFile(path, problem=f"{what} ({error.strerror})")
    if not entry.is_file():
        return FoundFile(path, problem="neither a file nor a folder")
    if not os.access(entry.path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        return FoundFile(path, problem=f"cannot be read ({os.strerror(errno.EACCES)})")
    return FoundFile(path, status.st_size, file_etag(status))


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
