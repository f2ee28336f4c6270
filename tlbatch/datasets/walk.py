"""The one walk of a folder or a bucket: every command that looks at images sees the same files, and what was left out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tlbatch import nouns
from tlbatch.datasets.buckettree import walk_bucket
from tlbatch.datasets.foldertree import FoundFile, Tree, is_of_the_system, walk_folder
from tlbatch.errors import StudyError
from tlbatch.packed import Packed
from tlbatch.store import open_store

WAY = "dataset.follow_links: true (or --follow-links)"
SHOWN = 3  # names that a sentence gives as examples


@dataclass(frozen=True)
class LeftOut:
    """What is no part of a dataset: why, how many, and some of their paths."""

    why: str
    count: int
    some: tuple[str, ...]

    @staticmethod
    def of(why: str, paths: Iterable[str]) -> LeftOut:
        named = sorted(paths)
        return LeftOut(why, len(named), tuple(named[:SHOWN]))

    def __str__(self) -> str:
        return f"{self.count} {self.why} ({examples(self.some, self.count)})"


@dataclass(frozen=True)
class Walk:
    """Files sorted by path, every folder (empty ones too), and what was left out, by why.

    ``links_out``: links that lead out of the place, to where; they were followed if that was wanted, else refused.
    """

    url: str
    files: Packed[FoundFile]
    folders: frozenset[str]
    left_out: tuple[LeftOut, ...] = ()
    links_out: tuple[tuple[str, str], ...] = ()

    def inner_folders(self, folder: str = "") -> list[str]:
        """Names of the folders directly in ``folder`` (default: the root), sorted."""
        prefix = f"{folder}/" if folder else ""
        inside = (path.removeprefix(prefix) for path in self.folders if path.startswith(prefix) and path != folder)
        return sorted(name for name in inside if "/" not in name)

    @property
    def empty_folders(self) -> list[str]:
        """Folders without a file below them, the deepest of each branch."""
        used = {parent for file in self.files for parent in _parents(file.path)}
        empty = self.folders - used - {file.path for file in self.files}
        return sorted(empty - {parent for path in empty for parent in _parents(path)})


def walk(url: str, *, follow_links: bool = False, what: str = "dataset.url: ", way: str = WAY) -> Walk:
    """Everything below ``s3://bucket/prefix`` or a folder. ``what`` begins and ``way`` ends the sentences of what is wrong.

    Raises StudyError where there is no such folder or bucket, where links lead out of the folder and ``follow_links`` is
    not set, and for folders of the system; TransientError where the store cannot be reached.
    """
    if url.startswith("s3://"):
        place = open_store(url)
        return _made(place.url, walk_bucket(place))
    found = look(url, follow_links=follow_links, what=what)
    if found.links_out and not follow_links:
        raise StudyError(f"{what}{_refused(found, way)}")
    return found


def look(url: str, *, follow_links: bool = False, what: str = "") -> Walk:
    """``walk`` of a folder in which links that lead out of it are only named (``links_out``), not refused."""
    root = checked_folder(url, what)
    try:
        return _made(str(root), walk_folder(root, follow_links=follow_links))
    except OSError as error:
        raise StudyError(f"{what}{root} cannot be opened ({error.strerror}); fix its permissions") from error


def checked_folder(url: str, what: str = "") -> Path:
    """The folder a path or file:// URL names, links resolved. Raises StudyError where it is none, or one of the system."""
    try:
        root = Path(os.path.realpath(Path(url.removeprefix("file://")).expanduser()))
        if not root.is_dir():
            said = "is a file, not a folder" if root.exists() else "there is no such folder"
            raise StudyError(f"{what}{root}: {said}; name one that holds {nouns.items()}")
        if root == Path("/") or is_of_the_system(root):
            raise StudyError(f"{what}{root}: is a folder of the system, no dataset; name one that holds {nouns.items()}")
    except (OSError, ValueError, RuntimeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise StudyError(f"{what}{url!r} is no folder's name ({said}); name one that holds {nouns.items()}") from error
    return root


def examples(some: Iterable[str], count: int) -> str:
    """``a, b, c, …``"""
    named = list(some)
    return ", ".join(repr(path) if path != path.strip() or not path.isprintable() else path for path in named) + (
        ", …" if count > len(named) else ""
    )


def _made(url: str, tree: Tree) -> Walk:
    by_why: dict[str, list[str]] = defaultdict(list)
    for path in tree.litter:
        hidden = path.rstrip("/").rpartition("/")[2].startswith(".")
        by_why["hidden" if hidden else "left there by the system"].append(path)
    left_out = tuple(LeftOut.of(why, paths) for why, paths in sorted(by_why.items()))
    return Walk(url, tree.files.packed(), frozenset(tree.folders), left_out, tuple(sorted(tree.links_out.items())))


def _refused(found: Walk, way: str) -> str:
    count = len(found.links_out)
    some = ", ".join(f"{path} → {target}" for path, target in found.links_out[:SHOWN])
    more = f" and {count - SHOWN} more" if count > SHOWN else ""
    lead = "link leads" if count == 1 else "links lead"
    return (
        f"{found.url}: {count} {lead} out of this folder ({some}{more}), and such links are not followed unless you say so: "
        f"write {way}, or put the files themselves there"
    )


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
