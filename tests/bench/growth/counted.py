"""What is asked of a store: requests, and bytes that go to and fro."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tlbatch.store import Store
from tlbatch.store.protocol import Stat

PAGE = 1000  # keys that an S3 server lists in one answer


class CountedStore:
    """A store that counts. A listing counts as a bucket's would, a page at a time."""

    def __init__(self, store: Store) -> None:
        self._store, self.url, self.requests, self.bytes = store, store.url, 0, 0

    def get(self, name: str) -> bytes:
        return self._counted(self._store.get(name))

    def get_range(self, name: str, offset: int, size: int) -> bytes:
        return self._counted(self._store.get_range(name, offset, size))

    def get_with_etag(self, name: str) -> tuple[bytes, str]:
        self.requests += 1
        data, etag = self._store.get_with_etag(name)
        self.bytes += len(data)
        return data, etag

    def put(self, name: str, data: bytes, **condition: Any) -> str:
        self._counted(data)
        return self._store.put(name, data, **condition)

    def upload(self, path: Path, name: str) -> None:
        self.requests += 1
        self.bytes += path.stat().st_size
        self._store.upload(path, name)

    def download(self, name: str, path: Path) -> None:
        self.requests += 1
        self._store.download(name, path)
        self.bytes += path.stat().st_size

    def stat(self, name: str) -> Stat | None:
        self.requests += 1
        return self._store.stat(name)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        stats = list(self._store.list(prefix))
        self.requests += 1 + len(stats) // PAGE
        return iter(stats)

    def list_all(self) -> Iterator[Stat]:
        return self.list()

    def put_folder(self, name: str) -> None:
        self.requests += 1
        self._store.put_folder(name)

    def delete(self, names: Any) -> None:
        self.requests += 1
        self._store.delete(names)

    def local_path(self, name: str) -> Path | None:
        """None: what lies in a directory is fetched as from a bucket."""
        return None

    def _counted(self, data: bytes) -> bytes:
        self.requests += 1
        self.bytes += len(data)
        return data
