"""A store in a directory: atomic by link and rename, conditional under a lock file."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tlbatch.store.protocol import ConflictError, NotFoundError, Stat

HIDDEN = ".tlbatch"


class DirectoryStore:
    """Objects are files under ``root``. Temporary files and the lock live in ``root/.tlbatch`` and are never listed."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self.url = str(self.root)

    def get(self, name: str) -> bytes:
        return self.get_with_etag(name)[0]

    def get_range(self, name: str, offset: int, size: int) -> bytes:
        try:
            with self._path(name).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFoundError(f"{self.url}/{name}: no such object") from None

    def get_with_etag(self, name: str) -> tuple[bytes, str]:
        try:
            data = self._path(name).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFoundError(f"{self.url}/{name}: no such object") from None
        return data, _etag(data)

    def put(self, name: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        temporary = self._temporary()
        temporary.write_bytes(data)
        self._place(temporary, name, if_absent=if_absent, if_match=if_match)
        return _etag(data)

    def upload(self, path: Path, name: str) -> None:
        temporary = self._temporary()
        shutil.copyfile(path, temporary)
        self._place(temporary, name)

    def download(self, name: str, path: Path) -> None:
        partial = path.with_name(f"{path.name}.{os.getpid():x}.part")
        try:
            shutil.copyfile(self._path(name), partial)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFoundError(f"{self.url}/{name}: no such object") from None
        partial.replace(path)

    def stat(self, name: str) -> Stat | None:
        path = self._path(name)
        try:
            return _stat(name, path) if path.is_file() else None
        except FileNotFoundError:
            return None

    def list(self, prefix: str = "") -> Iterator[Stat]:
        folder = self.root / prefix.rpartition("/")[0]
        names = []
        for directory, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if name != HIDDEN]
            relative = Path(directory).relative_to(self.root).as_posix()
            names += [name if relative == "." else f"{relative}/{name}" for name in files]
        for name in sorted(name for name in names if name.startswith(prefix)):
            stat = self.stat(name)
            if stat is not None:
                yield stat

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            path = self._path(name)
            path.unlink(missing_ok=True)
            self._prune(path.parent)

    def local_path(self, name: str) -> Path | None:
        return self._path(name)

    def _path(self, name: str) -> Path:
        parts = name.split("/")
        if not name or any(part in ("", ".", "..") for part in parts) or parts[0] == HIDDEN:
            raise ValueError(f"not an object name: {name!r}")
        return self.root.joinpath(*parts)

    def _temporary(self) -> Path:
        folder = self.root / HIDDEN
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder)
        os.close(descriptor)
        return Path(name)

    def _place(self, temporary: Path, name: str, *, if_absent: bool = False, if_match: str | None = None) -> None:
        target = self._path(name)
        try:
            with self._locked():
                if if_absent and target.exists():
                    raise ConflictError(f"{self.url}/{name}: already there")
                if if_match is not None and (not target.exists() or _etag(target.read_bytes()) != if_match):
                    raise ConflictError(f"{self.url}/{name}: changed meanwhile")
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary.chmod(0o644)
                temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def _prune(self, folder: Path) -> None:
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


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _stat(name: str, path: Path) -> Stat:
    status = path.stat()
    return Stat(name, status.st_size, f"{status.st_mtime_ns:x}-{status.st_size:x}", status.st_mtime)
