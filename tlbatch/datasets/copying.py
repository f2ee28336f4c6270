"""A folder's files into S3: several at once, again only what is missing or differs, each checked by its checksum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from tlbatch.errors import StudyError, TransientError
from tlbatch.store import Store

AT_ONCE = 16
SINGLE_PUT = 16 * 2**20
"""Smaller files are one request, whose ETag is their MD5; larger ones go in parts and are told by size alone."""


@dataclass(frozen=True)
class Copied:
    """What ``put`` did. Sizes in bytes."""

    files: int
    sent: int
    sent_bytes: int


@dataclass(frozen=True)
class _File:
    """A local file, as it must be in the target. ``md5`` (hex): "" where an ETag would not tell."""

    name: str
    size: int
    md5: str
    sent: bool = False

    def is_like(self, there: tuple[int, str] | None) -> bool:
        if there is None or there[0] != self.size:
            return False
        etag = there[1].strip('"')
        return not self.md5 or not re.fullmatch(r"[0-9a-f]{32}", etag) or etag == self.md5


def put(folder: Path, target: Store, say: Callable[[int, int], None] = lambda done, total: None) -> Copied:
    """Copy a folder's files to ``target`` under the same names. What is there with the same content is not sent again.

    At the end the target is listed and compared. Raises StudyError for a folder that is not there, TransientError where
    something did not arrive as it was.
    """
    if not folder.is_dir():
        raise StudyError(f"{folder}: is not a folder")
    there = _listed(target)
    paths, files = list(_paths(folder)), list[_File]()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(_put_one, folder, path, target, there) for path in paths]
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                files.append(job.result())
                say(done, len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    sent = [file for file in files if file.sent]
    arrived = _listed(target) if sent else there
    damaged = [file.name for file in files if not file.is_like(arrived.get(file.name))]
    if damaged:
        raise TransientError(f"{target.url}/{damaged[0]} and {len(damaged) - 1} more did not arrive as they were: run it again")
    return Copied(len(files), len(sent), sum(file.size for file in sent))


def _listed(target: Store) -> dict[str, tuple[int, str]]:
    return {stat.name: (stat.size, stat.etag) for stat in target.list()}


def _paths(folder: Path) -> Iterator[Path]:
    """All files but hidden ones, sorted."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _put_one(folder: Path, path: Path, target: Store, there: dict[str, tuple[int, str]]) -> _File:
    name, size = path.relative_to(folder).as_posix(), path.stat().st_size
    file = _File(name, size, _md5(path) if size < SINGLE_PUT else "")
    if file.is_like(there.get(name)):
        return file
    target.upload(path, name)
    return replace(file, sent=True)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
