"""The store's protocol: a flat name space of objects, with conditional writes. Two implementations, one contract suite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tlbatch.errors import TlbatchError


class NotFoundError(TlbatchError):
    """No object of this name. Where nobody expected that, it went while it was needed: come back later, never a bug."""

    exit_code = 75
    way_out = "; it was there or is being written: run the same command again, which makes what is missing"


class ConflictError(TlbatchError):
    """A conditional write met another writer (HTTP 412): read again and decide anew."""


@dataclass(frozen=True)
class Stat:
    """What a listing says about an object. ``modified`` is Unix time in s.

    ``etag`` changes when the content does, and maybe when only the modification time does: it serves to notice change. A
    directory's is made of time and size, without reading the file, so it is not the etag of ``get_with_etag``: give
    ``put(if_match=…)`` only etags from ``get_with_etag`` and ``put``.
    """

    name: str
    size: int
    etag: str
    modified: float


class Store(Protocol):
    """Objects under one root (``s3://bucket/prefix`` or a directory), named by '/'-separated relative names.

    A put is atomic: readers see the old or the new content, never a part. Names with ``..``, a leading ``/`` or an empty
    part raise ValueError (see tlbatch.store.names); no name may be both object and folder (``a`` and ``a/b``). One store
    object is safe to use from several threads. Unreachable stores raise TransientError after botocore's own retries;
    denied access and a missing bucket raise StudyError with the way out.
    """

    url: str

    def get(self, name: str) -> bytes:
        """The object's bytes. Raises NotFoundError."""

    def get_range(self, name: str, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset`` (fewer at the end of the object). Raises NotFoundError."""

    def get_with_etag(self, name: str) -> tuple[bytes, str]:
        """Bytes and the etag to give to ``put(if_match=…)``. Raises NotFoundError."""

    def put(self, name: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Write and return the new etag. Raises ConflictError when the condition does not hold."""

    def upload(self, path: Path, name: str) -> None:
        """Store a local file (multipart where it is large)."""

    def download(self, name: str, path: Path) -> None:
        """Fetch into a local file, whole or not at all. Raises NotFoundError."""

    def stat(self, name: str) -> Stat | None:
        """None when there is no such object."""

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """All objects whose name starts with ``prefix``, sorted by name. Leaves out what is no object name."""

    def list_all(self) -> Iterator[Stat]:
        """All objects in no order, with what is no object name too: folder markers, keys with ``//`` (a directory has none)."""

    def put_folder(self, name: str) -> None:
        """Mark a folder that holds nothing, as consoles do: a directory, or an empty key that ends in '/'."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are not there are no error."""

    def local_path(self, name: str) -> Path | None:
        """The file behind an object where the store is a directory, else None. Read only; it need not exist."""
