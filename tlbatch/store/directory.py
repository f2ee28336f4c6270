"""A store in a directory: atomic by rename, conditional under a lock file."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG

from tlbatch.errors import NO_ROOM, StudyError, TransientError
from tlbatch.home import expanded
from tlbatch.store.names import HIDDEN, check_name, check_prefix, is_name
from tlbatch.store.protocol import ConflictError, NotFoundError, Stat

NOWHERE = "is a link to what is not there: bring that back, or remove the link"


class DirectoryStore:
    """Objects are files under ``root``. Temporary files and the lock live in ``root/.tlbatch`` and are never listed.

    Writers need a file system with atomic rename and flock shared by all of them (one machine's disk, or NFS 4).
    """

    def __init__(self, root: Path) -> None:
        self.root = _whole(root)
        self.url = str(self.root)

    def get(self, name: str) -> bytes:
        with self._errors(name, "read"):
            return self._path(name).read_bytes()

    def get_range(self, name: str, offset: int, size: int) -> bytes:
        with self._errors(name, "read"), self._path(name).open("rb") as file:
            file.seek(offset)
            return file.read(max(size, 0))

    def get_with_etag(self, name: str) -> tuple[bytes, str]:
        data = self.get(name)
        return data, _etag(data)

    def put(self, name: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        with self._new_file(name) as temporary:
            temporary.write_bytes(data)
            self._place(temporary, name, if_absent=if_absent, if_match=if_match)
        return _etag(data)

    def upload(self, path: Path, name: str) -> None:
        with path.open("rb") as source, self._new_file(name) as temporary, temporary.open("wb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            self._place(temporary, name)

    def download(self, name: str, path: Path) -> None:
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        try:
            with self._errors(name, "read"):
                shutil.copyfile(self._path(name), partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def stat(self, name: str) -> Stat | None:
        path = self._path(name)
        try:
            with self._errors(name, "read"):
                found = path.stat()  # not is_file, which takes what cannot be looked at for absent in later Pythons
                return _stat(name, found) if S_ISREG(found.st_mode) else None
        except NotFoundError:
            return None

    def list(self, prefix: str = "") -> Iterator[Stat]:
        check_prefix(prefix)
        return self._list(prefix)

    def list_all(self) -> Iterator[Stat]:
        return self._list("")

    def put_folder(self, name: str) -> None:
        with self._errors(name, "written"):
            self._path(name).mkdir(parents=True, exist_ok=True)

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            path = self._path(name)
            try:
                with self._errors(name, "deleted"):
                    path.unlink()
            except NotFoundError:
                continue
            self._prune(path.parent)

    def local_path(self, name: str) -> Path | None:
        return self._path(name)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        return self.root.joinpath(*check_name(name))

    def _list(self, prefix: str) -> Iterator[Stat]:
        for name in sorted(name for name in self._names(prefix.rpartition("/")[0]) if name.startswith(prefix)):
            stat = self.stat(name) if is_name(name) else None
            if stat is not None:
                yield stat

    def _names(self, top: str) -> Iterator[str]:
        """Of all files in a folder and its folders, those that links lead to among them.

        Raises StudyError for what cannot be looked into, and for a link to nothing (a disk that is not there): neither is
        empty. Whoever deletes what nothing needs would delete all that is needed there.
        """
        todo = [(top, frozenset(map(_identity, (self.root / top).parents)) if top else frozenset())]
        while todo:
            folder, above = todo.pop()
            place, names = self.root / folder, list[str]()
            try:
                with self._errors(folder, "listed"), os.scandir(place) as entries:
                    here = above | {_identity(place)}
                    if here == above:  # a link leads back
                        continue
                    for entry in entries:
                        name = f"{folder}/{entry.name}" if folder else entry.name
                        if entry.is_symlink() and _identity(Path(entry.path)) is None:
                            raise StudyError(f"{self.url}/{name} {NOWHERE}")
                        if not entry.is_dir():
                            names.append(name)
                        elif name != HIDDEN:
                            todo.append((name, here))
            except NotFoundError:
                continue
            yield from names

    @contextmanager
    def _new_file(self, name: str) -> Iterator[Path]:
        """A path for a file to be placed as ``name``; removed at the end if it was not."""
        self._path(name)
        folder = self.root / HIDDEN
        temporary = folder / f"{os.getpid():x}-{secrets.token_hex(8)}"
        with self._errors(name, "written"):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)

    def _place(self, temporary: Path, name: str, *, if_absent: bool = False, if_match: str | None = None) -> None:
        target = self._path(name)
        with self._locked():
            if if_absent and target.exists():
                raise ConflictError(f"{self.url}/{name}: already there")
            if if_match is not None and (not target.exists() or _etag(target.read_bytes()) != if_match):
                raise ConflictError(f"{self.url}/{name}: changed meanwhile")
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(target)

    def _prune(self, folder: Path) -> None:
        """Remove folders that became empty: an object store has none. Under the lock, so no writer's folder goes."""
        with self._locked():
            while folder != self.root:
                try:
                    folder.rmdir()
                except OSError:
                    return
                folder = folder.parent

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = self.root / HIDDEN
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _errors(self, name: str, what: str) -> Iterator[None]:
        """The file system's errors as the protocol's: NotFoundError, else a sentence with the way out."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            if what != "written":
                raise NotFoundError(f"{self.url}/{name}: no such object") from error
            raise StudyError(f"{self.url}/{name} could not be written ({error.strerror}): name another store") from error
        except OSError as error:
            if error.errno in NO_ROOM:
                raise TransientError(f"{self.url}/{name} could not be {what}: no space left there; make room") from error
            raise StudyError(
                f"{self.url}/{name} could not be {what} ({error.strerror}): fix its permissions or name another store"
            ) from error


def _whole(root: Path) -> Path:
    """The root's whole path. Raises StudyError where there is none: this process's folder is gone, links go in a ring."""
    try:
        return expanded(root).resolve()
    except (OSError, RuntimeError) as error:
        raise StudyError(f"store {root}: {error}; write the folder's whole path") from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Of the file or folder that a path leads to; None where it leads to none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    return status.st_dev, status.st_ino


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _stat(name: str, status: os.stat_result) -> Stat:
    return Stat(name, status.st_size, f"{status.st_mtime_ns:x}-{status.st_size:x}", status.st_mtime)
