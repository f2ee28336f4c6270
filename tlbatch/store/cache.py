"""Where fetched files lie: a folder of one's own, or the cache that all processes of a node share, bounded."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tlbatch.errors import NO_ROOM, Stopped, StudyError, TransientError
from tlbatch.home import expanded, home
from tlbatch.quantities import amount
from tlbatch.store import cache_space
from tlbatch.store.cache_space import FILES, IN_USE, LOCK, LOCKS, Space
from tlbatch.store.flocks import locked, take

FOLDER, SIZE = "TLBATCH_CACHE", "TLBATCH_CACHE_SIZE"
LEAST_BYTES = 64 * 2**20
"""Less holds no shard of photographs, and every file would be fetched again for every task."""
FETCHED_WITHIN_S = 600.0
"""How long another process is waited for that fetches the same file; after it one fetches for oneself."""
COUNTED_WITHIN_S = 30.0
Fetch = Callable[[Path], object]
Holds = Callable[[Path], bool]


@dataclass
class Fetched:
    """What this process fetched itself, not found in a cache. ``bytes``: as far as sizes were known before."""

    files: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        self.files += 1
        self.bytes += size


class Cache(Protocol):
    """Local copies of files of a store. Safe to use from several threads and processes."""

    fetched: Fetched

    def file(self, name: str, size: int, fetch: Fetch, holds: Holds) -> Path:
        """A file that ``holds`` said yes to, or that ``fetch`` has just put where it was told: whole, or not at all.

        ``name``: of its content, without '/'; ``size`` in bytes, 0 where it is not known. It is there until this cache is
        closed, whatever others do. Raises what ``fetch`` raises.
        """

    def close(self) -> None:
        """Nothing that was handed out is used any more."""


class PrivateFolder:
    """A folder that only this process uses and somebody else removes: without locks and without a bound."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.fetched = folder, Fetched()

    def file(self, name: str, size: int, fetch: Fetch, holds: Holds) -> Path:
        target = self._folder / name
        if not (target.is_file() and holds(target)):
            self._folder.mkdir(parents=True, exist_ok=True)
            fetch(target)
            self.fetched.add(size)
        return target

    def close(self) -> None:
        """There is nothing to give up."""


@dataclass(frozen=True)
class _Use:
    """A process's own folder in the cache, and its lock, which says that the process lives."""

    folder: Path
    lock: int
    process: int


class SharedCache:
    """A folder that all processes of a node share (see tlbatch.store.cache_space): each file is fetched once, and what was used
    longest ago goes when there are more than ``limit`` bytes.

    **Why links.** A path that was handed out is opened later, by libraries that map it, by worker processes. So it may not be
    the cache's own name for the file, which can go at any time: each process is given a hard link in a folder of its own. The
    file system counts who uses a file, removing it from under somebody is impossible, and nothing need be asked or written
    where a file is used. Marks of use (a lease with a heartbeat) would have to be right at every moment, copies into the
    task's scratch cost what the cache saves, and scratch often lies on another file system, where there are no links to it.
    What processes that were killed leave is known by their lock, which the system has given up.

    What is in use stays, even above the limit; the cache shrinks when its users end. The space is counted again after an
    eighth of the room that was left has been used, so processes that fetch at once may exceed the limit by a little.

    Where the file system has no locks or no hard links, is not to be written, or is full of what is in use, files are fetched
    into ``alone``. Who waits for another process asks ``stop`` whether to go on, and raises Stopped where not.
    """

    def __init__(
        self,
        root: Path,
        alone: Path,
        limit: int | None = None,
        wait_s: float = FETCHED_WITHIN_S,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.root, self._limit, self._wait_s, self._stop = root, limit, wait_s, stop
        self._alone = PrivateFolder(alone)
        self.fetched = self._alone.fetched
        self._use: _Use | None = None
        self._refused = False
        self._room = self._added = 0  #: bytes: left when last counted, fetched since
        self._guard = threading.Lock()
        self._leave: Callable[[], object] = lambda: None

    def file(self, name: str, size: int, fetch: Fetch, holds: Holds) -> Path:
        folder = self._own_folder()
        if folder is None:
            return self._alone.file(name, size, fetch, holds)
        kept, own = self.root / FILES / name, folder / name
        full = False
        while not full:
            seen = _identity(kept)
            if seen is not None and _link(kept, own, holds=holds):
                _mark_used(own)
                return own
            with locked(self.root / LOCKS / name, self._wait_s, remove=True, waits=self._check_stop):
                if _identity(kept) not in (None, seen):
                    continue  # another process has fetched it meanwhile
                full = not self._fetch(own, size, fetch)
                if not full:
                    _link(own, kept, beside=own)
                    return own
        return self._alone.file(name, size, fetch, holds)

    def close(self) -> None:
        with self._guard:
            self._leave()
            self._use = None

    # -- inside -------------------------------------------------------------------------------------------------------

    def _check_stop(self) -> None:
        if self._stop():
            raise Stopped("asked to stop while another process fetched what this one needs; a later start goes on from there")

    def _own_folder(self) -> Path | None:
        """This process's folder, made when it is first needed; None where the cache cannot be shared."""
        with self._guard:
            if self._use is not None and not self._use.folder.exists():  # the whole cache was removed by hand
                self._leave()
                self._use = None
            if self._use is None and not self._refused:
                try:
                    self._use = _begin(self.root)
                    self._leave = weakref.finalize(self, _end, self._use, self.root, self._limit)
                except OSError as error:
                    self._refused = True
                    reason = error.strerror or str(error)
                    print(f"the cache {self.root} cannot be shared ({reason}): fetching for this process alone", flush=True)
            return self._use.folder if self._use is not None else None

    def _fetch(self, own: Path, size: int, fetch: Fetch) -> bool:
        """False where the disk is full, and stays so when what nobody uses has been removed from the cache."""
        self._make_room(size)
        for _ in range(2):
            try:
                fetch(own)
            except TransientError as error:
                if not _disk_is_full(error):
                    raise
                if not self._remove(max(size, LEAST_BYTES)):
                    return False
            else:
                with self._guard:
                    self.fetched.add(size)
                return True
        return False

    def _make_room(self, size: int) -> None:
        with self._guard:
            self._added += size
            if self._added <= self._room // 8:
                return
        with locked(self.root / LOCK, COUNTED_WITHIN_S):
            cache_space.sweep(self.root)
            room = _trim(self.root, self._limit, size)
        with self._guard:
            self._room, self._added = room, size

    def _remove(self, bytes_: int) -> int:
        with locked(self.root / LOCK, COUNTED_WITHIN_S):
            cache_space.sweep(self.root)
            return cache_space.remove(cache_space.look(self.root), bytes_)


def as_cache(given: Path | Cache) -> Cache:
    """A path stands for a folder of one's own."""
    return PrivateFolder(given) if isinstance(given, Path) else given


def open_cache(alone: Path, stop: Callable[[], bool] = lambda: False) -> SharedCache:
    """The cache that the environment names; see SharedCache. Raises StudyError for a size that is none."""
    return SharedCache(cache_folder(), alone, cache_limit(), stop=stop)


def cache_folder() -> Path:
    """``TLBATCH_CACHE``, else ``~/.cache/tlbatch``."""
    given = os.environ.get(FOLDER)
    return expanded(given) if given else home() / ".cache" / "tlbatch"


def cache_limit() -> int | None:
    """``TLBATCH_CACHE_SIZE`` in bytes; None where it is not set (see default_limit). Raises StudyError."""
    text = os.environ.get(SIZE)
    return limit_of(text, SIZE) if text else None


def limit_of(text: str, where: str) -> int:
    """A size such as ``20Gi`` in bytes. Raises StudyError, which names ``where`` it stands."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?(k|Ki|M|Mi|G|Gi|T|Ti)?", text):
        raise StudyError(f"{where}={text}: expected a size as Kubernetes writes it, such as 20Gi")
    if (limit := int(amount(text))) < LEAST_BYTES:
        raise StudyError(
            f"{where}={text}: a cache of less than {LEAST_BYTES // 2**20}Mi holds no shard, so each task would fetch its "
            "inputs again: give it more, such as 20Gi; its files are removed by themselves when others need the room"
        )
    return limit


def clear_cache(root: Path) -> tuple[int, Space]:
    """Remove what nobody uses; the bytes that are free now, and what is left."""
    with locked(root / LOCK, COUNTED_WITHIN_S):
        cache_space.sweep(root)
        space = cache_space.look(root)
        freed = cache_space.remove(space, space.held)
    return freed, cache_space.look(root)


# -- one process's part -------------------------------------------------------------------------------------------------


def _begin(root: Path) -> _Use:
    """Raises OSError where the file system has no locks or hard links, or is not to be written."""
    for name in (FILES, IN_USE, LOCKS):
        (root / name).mkdir(parents=True, exist_ok=True)
    with locked(root / LOCK, COUNTED_WITHIN_S):  # else who sweeps could find the folder before it is locked
        cache_space.sweep(root)
        folder = root / IN_USE / f"{os.getpid():x}-{secrets.token_hex(8)}"
        folder.mkdir()
        lock = take(folder / LOCK)
    if lock is None:
        raise OSError(errno.ENOLCK, "its locks do not hold")
    try:
        os.link(folder / LOCK, folder / "link")
        (folder / "link").unlink()
    except OSError:
        os.close(lock)
        raise
    return _Use(folder, lock, os.getpid())


def _end(use: _Use, root: Path, limit: int | None) -> None:
    """Give up what the process used, and have the cache no larger than it may be. Not by a process forked from it."""
    if os.getpid() != use.process:
        return
    with suppress(OSError):
        shutil.rmtree(use.folder, ignore_errors=True)
        os.close(use.lock)
        with locked(root / LOCK, COUNTED_WITHIN_S):
            _trim(root, limit, 0)


def _trim(root: Path, limit: int | None, size: int) -> int:
    """Remove until ``size`` bytes more are within the limit, and a tenth of it beyond; the room in bytes that is left then."""
    space = cache_space.look(root)
    limit = cache_space.default_limit(root, space.held) if limit is None else limit
    over = space.held + size - limit
    freed = cache_space.remove(space, over + limit // 10) if over > 0 else 0
    return max(0, limit - space.held + freed)


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What changes when somebody writes or replaces a file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _link(path: Path, name: Path, beside: Path | None = None, holds: Holds = lambda _: True) -> bool:
    """Have ``name`` be the very file ``path``, at once; False where it cannot be. ``beside``: where the link is made first.

    One that does not hold must not take the name, under which a whole one may have been handed out.
    """
    new = (beside or name).with_name(f".{secrets.token_hex(8)}")
    try:
        os.link(path, new)
        if not holds(new):
            return False
        new.replace(name)
    except OSError:
        return False
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)  # still there, too, where both were the same file already
    return True


def _mark_used(path: Path) -> None:
    """By its access time: a new modification time would have other users check its content again."""
    with suppress(OSError):  # of another user: then reading it says so, on most file systems
        status = path.stat()
        os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))


def _disk_is_full(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in NO_ROOM:
            return True
        cause = cause.__cause__
    return False
