"""Artifacts: what tasks left in the store. Immutable; complete once their manifest is there, which is written last."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tlbatch.errors import CorruptArtifactError, OtherVersionError, TransientError
from tlbatch.store.cache import Cache, as_cache
from tlbatch.store.documents import WRONG, Decode, decoded, parse, shaped, tell
from tlbatch.store.housekeeping import tidy
from tlbatch.store.names import check_name
from tlbatch.store.protocol import ConflictError, NotFoundError, Store

T = TypeVar("T")
MANIFEST_FORMAT = 1
COMMIT_TRIES = 5
FETCHES = 2
"""How often a file is read whose hash does not match: a bit that flips on the way must not give up a good artifact."""


@dataclass(frozen=True)
class FileEntry:
    """One file of an artifact: its store-relative path (maybe in an older artifact), size in bytes, sha256 (hex)."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """``artifacts/<step>/<key>/manifest.json``. ``made`` holds device, versions, seconds and counts: never in the digest."""

    step: str
    key: str
    files: dict[str, FileEntry]
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """sha256 over the sorted names and hashes of the files."""
        lines = "".join(f"{name}\0{entry.sha256}\n" for name, entry in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def to_json(self) -> bytes:
        return json.dumps({"format": MANIFEST_FORMAT, "digest": self.digest, **asdict(self)}, indent=1, sort_keys=True).encode()

    @staticmethod
    def from_json(data: bytes) -> Manifest:
        """Decode, leniently towards unknown fields.

        Raises StudyError for a newer format and ValueError, KeyError or TypeError for what does not hold together: no
        JSON, a file outside the store, a digest that is not that of the files.
        """
        document = parse(data)
        if document["format"] > MANIFEST_FORMAT:
            raise OtherVersionError(
                f"artifacts/{document['step']}/{document['key']}: its manifest has format {document['format']}, this tlbatch "
                f"reads up to {MANIFEST_FORMAT}; upgrade it"
            )
        manifest = shaped(Manifest)(document)
        for name, entry in manifest.files.items():
            check_name(name)
            check_name(entry.path)
        if manifest.digest != document["digest"]:
            raise ValueError("the digest is not that of the files")
        return manifest


def manifest_name(step: str, key: str) -> str:
    return f"artifacts/{step}/{key}/manifest.json"


def load_manifest(store: Store, step: str, key: str) -> Manifest | None:
    """The manifest, or None where the artifact is not (yet) there. An unreadable one is set aside and counts as absent."""
    name = manifest_name(step, key)
    try:
        data = store.get(name)
    except NotFoundError:
        return None
    try:
        manifest = Manifest.from_json(data)
        if (manifest.step, manifest.key) == (step, key):
            return manifest
    except WRONG:
        pass
    set_aside(store, step, key, data)
    return None


def set_aside(store: Store, step: str, key: str, bad: bytes) -> None:
    """Move a manifest that does not hold to ``manifest.json.bad-<time>``: the task will run once more.

    ``bad`` is its content as judged; a manifest that has changed since (another process was here first) stays.
    """
    name = manifest_name(step, key)
    try:
        if store.get(name) != bad:
            return
    except NotFoundError:
        return
    aside = f"{name}.bad-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    store.put(aside, bad)
    store.delete([name])
    tell(f"{store.url}/{name} does not hold and was set aside as {aside}: the next run that needs it makes it once more")


def set_aside_names(store: Store, step: str, key: str) -> list[str]:
    """Names of the manifests of this artifact that were set aside, oldest first: the report tells of them."""
    return [stat.name for stat in store.list(f"{manifest_name(step, key)}.bad-")]


def commit(store: Store, manifest: Manifest, attempt: str) -> Manifest:
    """Put the manifest if none is there. Who comes second drops its own attempt's files and gets the winner's manifest."""
    name = manifest_name(manifest.step, manifest.key)
    for _ in range(COMMIT_TRIES):
        try:
            store.put(name, manifest.to_json(), if_absent=True)
        except ConflictError:
            winner = load_manifest(store, manifest.step, manifest.key)
            if winner is None:  # it did not hold and was set aside: the place is free again
                continue
            own = f"artifacts/{manifest.step}/{manifest.key}/{attempt}/"
            kept = {entry.path for entry in winner.files.values()}
            tidy(store, lambda own=own, kept=kept: [stat.name for stat in store.list(own) if stat.name not in kept])  # type: ignore[misc]
            return winner
        return manifest
    raise TransientError(f"{store.url}/{name}: others keep writing what does not hold; run the study again")


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_file(store: Store, manifest: Manifest, name: str, decode: Decode[T]) -> T:
    """A JSON file of an artifact, checked against its hash. Raises CorruptArtifactError (the manifest is set aside)."""
    entry = manifest.files[name]
    for _ in range(FETCHES):
        try:
            data = store.get(entry.path)
        except NotFoundError as error:
            raise corrupt(store, manifest, name, "is gone") from error
        if hashlib.sha256(data).hexdigest() == entry.sha256:
            return decoded(store.url, entry.path, data, decode)
    raise corrupt(store, manifest, name, "does not match its manifest")


def corrupt(store: Store, manifest: Manifest, name: str, what: str) -> CorruptArtifactError:
    """Set the manifest aside, unless another process has mended the artifact already; the error to raise."""
    step, key = manifest.step, manifest.key
    with suppress(NotFoundError, *WRONG):
        data = store.get(manifest_name(step, key))
        if Manifest.from_json(data).files == manifest.files:
            set_aside(store, step, key, data)
    return CorruptArtifactError(
        f"{store.url}/artifacts/{step}/{key}: file {name} {what}; its manifest was set aside, run the study again"
    )


_Signature = tuple[int, int, int]


class Artifact:
    """A complete artifact, for reading: no byte of it is used unchecked.

    A file is checked against its sha256 when it is first read by this process, and again whenever its inode, time or size
    has changed since. (What a disk does to a file's blocks without the file system knowing is seen by the next process.)
    Hashing takes 0.8–0.9 ms of one core a MB (measured: 256 MB from the page cache, a CPU with SHA instructions).
    Safe to use from several threads.
    """

    def __init__(self, store: Store, manifest: Manifest, cache: Path | Cache) -> None:
        self.store = store
        self.manifest = manifest
        self._cache = as_cache(cache)
        self._checked: dict[str, tuple[Path, _Signature]] = {}
        self._locks = {name: threading.Lock() for name in manifest.files}

    @property
    def digest(self) -> str:
        return self.manifest.digest

    def names(self, prefix: str = "") -> list[str]:
        """The artifact's file names, sorted."""
        return sorted(name for name in self.manifest.files if name.startswith(prefix))

    def __contains__(self, name: str) -> bool:
        return name in self.manifest.files

    def path(self, name: str) -> Path:
        """A local file with the content: the store's own where it is a directory, else fetched into the cache.

        Raises CorruptArtifactError (and sets the manifest aside) when the content is not what was written or is gone.
        """
        with self._locks[name]:  # threads that want one shard fetch and check it once
            path, signature = self._checked.get(name, (None, None))
            if path is None or _signature(path) != signature:
                entry = self.manifest.files[name]
                local = self.store.local_path(entry.path)
                path, before = self._fetched(name, entry) if local is None else self._verified(name, entry, local)
                self._checked[name] = path, before
            return path

    def read_bytes(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def read_json(self, name: str) -> Any:
        return parse(self.read_bytes(name))

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """A piece of a file, which is checked (and, from a remote store, fetched into the cache) as a whole, once."""
        return self.read_ranges(name, [(offset, size)])[0]

    def read_ranges(self, name: str, pieces: Sequence[tuple[int, int]]) -> list[bytes]:
        """Pieces (offset, size) of a file, as ``read_range`` reads one, in a third of the time of one by one."""
        while True:
            path = self.path(name)
            try:
                with path.open("rb", buffering=0) as file:  # else it reads whole blocks around the piece
                    read = [os.pread(file.fileno(), size, offset) for offset, size in pieces]
                    if _same(os.fstat(file.fileno()), self._checked[name][1]):  # afterwards: what was read is what was checked
                        return read
            except FileNotFoundError:
                continue  # gone since it was checked: the next look says so

    def _fetched(self, name: str, entry: FileEntry) -> tuple[Path, _Signature]:
        """The file in the cache, fetched unless it is there and holds: a damaged cache is no fault of the artifact."""
        before: _Signature | None = None

        def holds(path: Path) -> bool:
            nonlocal before
            before = _signature(path)
            return before is not None and _holds(path, entry)

        def fetch(target: Path) -> None:
            for _ in range(FETCHES):  # what was damaged on the way is whole the second time: no reason to give up the artifact
                try:
                    self.store.download(entry.path, target)
                except NotFoundError as error:
                    raise self._corrupt(name, "is gone") from error
                if holds(target):
                    return
            raise self._corrupt(name, "does not match its manifest")

        path = self._cache.file(entry.sha256, entry.size, fetch, holds)
        assert before is not None
        return path, before

    def _verified(self, name: str, entry: FileEntry, path: Path) -> tuple[Path, _Signature]:
        before = _signature(path)  # taken first: what changes while it is hashed is checked once more
        try:
            holds = _holds(path, entry)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise self._corrupt(name, "is gone") from error
        if not holds or before is None:
            raise self._corrupt(name, "does not match its manifest")
        return path, before

    def _corrupt(self, name: str, what: str) -> CorruptArtifactError:
        return corrupt(self.store, self.manifest, name, what)


def _signature(path: Path) -> _Signature | None:
    """What changes when somebody writes or replaces a file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _same(status: os.stat_result, signature: _Signature) -> bool:
    return (status.st_ino, status.st_mtime_ns, status.st_size) == signature


def _holds(path: Path, entry: FileEntry) -> bool:
    """Whether a local file has the size and hash of the entry. Raises FileNotFoundError."""
    return path.stat().st_size == entry.size and file_sha256(path) == entry.sha256


def open_artifact(store: Store, step: str, key: str, cache: Path | Cache) -> Artifact | None:
    """The artifact, or None where it is not complete. ``cache`` holds fetched files of remote stores; a path is a folder of
    this process alone.
    """
    manifest = load_manifest(store, step, key)
    return Artifact(store, manifest, cache) if manifest else None


def artifact_files(entries: Mapping[str, Path], step: str, key: str, attempt: str) -> dict[str, FileEntry]:
    """Entries for local files about to be uploaded under the attempt's folder. Pure but for reading the files."""
    return {
        name: FileEntry(f"artifacts/{step}/{key}/{attempt}/{name}", path.stat().st_size, file_sha256(path))
        for name, path in entries.items()
    }
