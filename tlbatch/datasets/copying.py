"""A folder's files into S3: several at once, again only what is missing or differs, each checked by its checksum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from tlbatch.datasets.foldertree import FoundFile
from tlbatch.datasets.walk import LeftOut, walk
from tlbatch.errors import TransientError
from tlbatch.store import NotFoundError, Store

AT_ONCE = 16
LONGEST_KEY = 1024
"""Bytes of an S3 key."""
SINGLE_PUT = 16 * 2**20
"""Smaller files are one request, whose ETag is mostly their MD5; larger ones go in parts and are told by size alone."""


@dataclass(frozen=True)
class Copied:
    """What ``put`` did. Sizes in bytes."""

    files: int
    sent: int
    sent_bytes: int
    left_out: tuple[LeftOut, ...] = ()
    unsent: tuple[tuple[str, str], ...] = ()  #: path and why, of what cannot be read or named there


@dataclass(frozen=True)
class _File:
    """A local file, as it must be in the target. ``md5`` (hex): "" where an ETag would not tell."""

    name: str
    size: int
    md5: str
    sent: bool = False
    refused: str = ""

    def is_like(self, there: tuple[int, str] | None) -> bool:
        if there is None or there[0] != self.size:
            return False
        etag = there[1].strip('"')
        return not self.md5 or not re.fullmatch(r"[0-9a-f]{32}", etag) or etag == self.md5

    def is_at(self, target: Store, there: tuple[int, str] | None) -> bool:
        """Whether ``target`` has this content. An ETag that is the MD5 shows it; another one shows nothing (in a bucket

        encrypted by KMS no ETag is an MD5), so that the content itself is read where only the size agrees.
        """
        if self.is_like(there):
            return True
        if there is None or there[0] != self.size:
            return False
        try:
            return hashlib.md5(target.get(self.name), usedforsecurity=False).hexdigest() == self.md5
        except NotFoundError:
            return False


def put(
    folder: Path, target: Store, say: Callable[[int, int], None] = lambda done, total: None, *, follow_links: bool = False
) -> Copied:
    """Copy a folder's files to ``target`` under the same names. What is there with the same content is not sent again.

    The files are those that a dataset of this folder has; empty folders are marked. At the end the target is listed and
    compared. Raises StudyError for a folder that is not there or has links that lead out of it (without ``follow_links``),
    TransientError where something did not arrive as it was.
    """
    found = walk(str(folder), follow_links=follow_links, what="", way="--follow-links")
    there = _listed(target)
    unsent = [(file.path, why) for file in found.files if (why := _unsendable(file, target))]
    paths = [file.path for file in found.files if not _unsendable(file, target)]
    files = list[_File]()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(_put_one, Path(found.url), path, target, there) for path in paths]
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                file = job.result()
                if file.refused:
                    unsent.append((file.name, file.refused))
                else:
                    files.append(file)
                say(done, len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for path in found.empty_folders:
        if not _too_long(f"{path}/", target):
            target.put_folder(path)
    sent = [file for file in files if file.sent]
    arrived = _listed(target) if sent else there
    with ThreadPoolExecutor(AT_ONCE) as pool:
        whole = pool.map(lambda file: file.is_at(target, arrived.get(file.name)), files)
        damaged = [file.name for file, is_whole in zip(files, whole, strict=True) if not is_whole]
    if damaged:
        raise TransientError(f"{target.url}/{damaged[0]} and {len(damaged) - 1} more did not arrive as they were: run it again")
    return Copied(len(files), len(sent), sum(file.size for file in sent), found.left_out, tuple(sorted(unsent)))


def _unsendable(file: FoundFile, target: Store) -> str:
    return file.problem or (f"a key has at most {LONGEST_KEY:,} bytes" if _too_long(file.path, target) else "")


def _too_long(path: str, target: Store) -> bool:
    """Whether S3 takes no key of this length; ``target.url`` is ``s3://bucket/prefix``."""
    _, _, prefix = target.url.removeprefix("s3://").partition("/")
    return target.url.startswith("s3://") and len(f"{prefix}/{path}".lstrip("/").encode()) > LONGEST_KEY


def _listed(target: Store) -> dict[str, tuple[int, str]]:
    return {stat.name: (stat.size, stat.etag) for stat in target.list()}


def _put_one(folder: Path, name: str, target: Store, there: dict[str, tuple[int, str]]) -> _File:
    path = folder / name
    size = path.stat().st_size
    file = _File(name, size, _md5(path) if size < SINGLE_PUT else "")
    if file.is_at(target, there.get(name)):
        return file
    try:
        target.upload(path, name)
    except NotFoundError:  # the answer of servers that take no such key
        return replace(file, refused="the server takes no such key; rename it")
    return replace(file, sent=True)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
