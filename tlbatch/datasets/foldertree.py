"""All files below a folder. What cannot be followed or opened is named, not skipped; links out are followed on request."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tlbatch.packed import Sorting

SYSTEM_FOLDERS = ("/proc", "/sys", "/dev")
LITTER = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir", "lost+found"})


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file by its '/'-separated path below the root. ``etag`` is made of time and size; ``problem`` says why it is none."""

    path: str
    size: int = 0
    etag: str = ""
    problem: str = ""
    folder: bool = False  #: a folder that could not be opened


@dataclass
class Tree:
    """What lies below a root: files, which come in any order, every folder, litter by its topmost path, links that lead out."""

    files: Sorting[FoundFile] = field(default_factory=partial(Sorting, FoundFile, "path"))
    folders: set[str] = field(default_factory=set)
    litter: set[str] = field(default_factory=set)
    links_out: dict[str, str] = field(default_factory=dict)  #: path to where it leads


def litter_of(path: str) -> str:
    """The part of a path that is what systems leave beside the files of people; "" where nothing is. Folders end in '/'.

    Hidden files, previews, folder settings: ``cat/.git/x`` gives ``cat/.git/``.
    """
    parts = path.split("/")
    for place, part in enumerate(parts, 1):
        if part.startswith(".") or part in LITTER:
            return "/".join(parts[:place]) + ("/" if place < len(parts) else "")
    return ""


def file_etag(status: os.stat_result) -> str:
    """Changes when a file's time or size does. Nothing is read."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def is_of_the_system(folder: Path) -> bool:
    """Whether a folder lies in /proc, /sys or /dev: its files are windows into the machine, not anybody's pictures."""
    return folder.stat().st_dev in _system_devices()


def walk_folder(root: Path, *, follow_links: bool = False) -> Tree:
    """Everything below ``root``. Links that stay below it are followed; others only with ``follow_links``, else named.

    Raises OSError where the root itself cannot be opened.
    """
    return _Walk(root, follow_links).run()


Above = frozenset[tuple[int, int]]  # device and inode of a folder and of all it lies in


class _Walk:
    """One walk, without recursion: folders may be nested deeper than Python's stack."""

    def __init__(self, root: Path, follow_links: bool) -> None:
        self._root, self._follow = root, follow_links
        self._inside = os.path.realpath(root).rstrip("/") + "/"
        self._system = _system_devices()
        self._tree = Tree()

    def run(self) -> Tree:
        lineage = (Path(self._inside), *Path(self._inside).parents)
        above = frozenset(_identity(folder.stat()) for folder in lineage)
        todo: list[tuple[str, str, Above]] = list(self._folder(str(self._root), "", above))
        while todo:
            place, path, above = todo.pop()
            try:
                todo += self._folder(place, f"{path}/", above)
            except OSError as error:
                problem = f"a folder that cannot be opened ({error.strerror})"
                self._tree.files.append(FoundFile(path, problem=problem, folder=True))
        return self._tree

    def _folder(self, place: str, prefix: str, above: Above) -> Iterator[tuple[str, str, Above]]:
        """Note what is in a folder; yields the folders in it that are to be looked into."""
        with os.scandir(place) as entries:
            found = list(entries)
        for entry in found:
            path = prefix + entry.name
            if litter_of(entry.name):
                self._tree.litter.add(shown(path) + ("/" if _is_folder(entry) else ""))
            elif not _is_text(entry.name):
                self._tree.files.append(FoundFile(shown(path), problem="its name is not UTF-8; rename it"))
            elif self._leads_out(entry):
                self._tree.links_out[path] = shown(os.path.realpath(entry.path))
            elif not _is_folder(entry):
                self._tree.files.append(_file(entry, path))
            else:
                yield from self._inner(entry, path, above)

    def _inner(self, entry: os.DirEntry[str], path: str, above: Above) -> Iterator[tuple[str, str, Above]]:
        status = entry.stat()
        own = _identity(status)
        if own in above:
            self._tree.files.append(FoundFile(path, problem="a link to a folder above it: a loop"))
        elif status.st_dev in self._system:
            self._tree.files.append(FoundFile(path, problem="a folder of the system (/proc, /sys, /dev)", folder=True))
        else:
            self._tree.folders.add(path)
            yield entry.path, path, above | {own}

    def _leads_out(self, entry: os.DirEntry[str]) -> bool:
        if self._follow or not entry.is_symlink() or not Path(entry.path).exists():
            return False
        return not (os.path.realpath(entry.path) + "/").startswith(self._inside)


def shown(path: str) -> str:
    """A path as text: bytes that are no UTF-8 become U+FFFD."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


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


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _system_devices() -> frozenset[int]:
    return frozenset(os.stat(place).st_dev for place in SYSTEM_FOLDERS if os.path.ismount(place))  # noqa: PTH116


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
