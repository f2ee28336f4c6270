"""Artifacts: what tasks left in the store. Immutable; complete once their manifest is there, which is written last."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tlbatch.errors import CorruptArtifactError
from tlbatch.store.protocol import ConflictError, NotFoundError, Store


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
        return json.dumps({"format": 1, "digest": self.digest, **asdict(self)}, indent=1, sort_keys=True).encode()

    @staticmethod
    def from_json(data: bytes) -> Manifest:
        document = json.loads(data)
        files = {name: FileEntry(e["path"], e["size"], e["sha256"]) for name, e in document["files"].items()}
        return Manifest(document["step"], document["key"], files, document.get("made", {}))


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
        return Manifest.from_json(data)
    except (ValueError, KeyError, TypeError):
        set_aside(store, step, key)
        return None


def set_aside(store: Store, step: str, key: str) -> None:
    """Move a manifest that does not hold to ``manifest.json.bad-<time>``: the task will run once more."""
    name = manifest_name(step, key)
    try:
        data = store.get(name)
    except NotFoundError:
        return
    store.put(f"{name}.bad-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}", data)
    store.delete([name])


def commit(store: Store, manifest: Manifest, attempt: str) -> Manifest:
    """Put the manifest if none is there. Who comes second drops its own attempt's files and gets the winner's manifest."""
    name = manifest_name(manifest.step, manifest.key)
    try:
        store.put(name, manifest.to_json(), if_absent=True)
    except ConflictError:
        own = f"artifacts/{manifest.step}/{manifest.key}/{attempt}/"
        winner = load_manifest(store, manifest.step, manifest.key)
        if winner is None:
            store.put(name, manifest.to_json())
            return manifest
        kept = {entry.path for entry in winner.files.values()}
        store.delete([stat.name for stat in store.list(own) if stat.name not in kept])
        return winner
    return manifest


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Artifact:
    """A complete artifact, for reading. Whole files are checked against their sha256 once per process."""

    def __init__(self, store: Store, manifest: Manifest, cache: Path) -> None:
        self.store = store
        self.manifest = manifest
        self._cache = cache
        self._checked: dict[str, Path] = {}

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

        Raises CorruptArtifactError (and sets the manifest aside) when the content is not what was written.
        """
        if name in self._checked:
            return self._checked[name]
        entry = self.manifest.files[name]
        path = self.store.local_path(entry.path) or self._fetch(entry)
        if path.stat().st_size != entry.size or file_sha256(path) != entry.sha256:
            raise self._corrupt(name, "does not match its manifest")
        self._checked[name] = path
        return path

    def read_bytes(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def read_json(self, name: str) -> Any:
        return json.loads(self.read_bytes(name))

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """A piece of a file, without fetching the rest. Its hash is not checked: use ``path`` for what must be exact."""
        if name in self._checked:
            with self._checked[name].open("rb") as file:
                file.seek(offset)
                return file.read(size)
        return self.store.get_range(self.manifest.files[name].path, offset, size)

    def _fetch(self, entry: FileEntry) -> Path:
        target = self._cache / entry.sha256
        if not (target.exists() and target.stat().st_size == entry.size):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.store.download(entry.path, target)
            except NotFoundError:
                raise self._corrupt(entry.path, "is gone") from None
        return target

    def _corrupt(self, name: str, what: str) -> CorruptArtifactError:
        step, key = self.manifest.step, self.manifest.key
        set_aside(self.store, step, key)
        return CorruptArtifactError(
            f"{self.store.url}/artifacts/{step}/{key}: file {name} {what}; its manifest was set aside, run the study again"
        )


def open_artifact(store: Store, step: str, key: str, cache: Path) -> Artifact | None:
    """The artifact, or None where it is not complete. ``cache`` holds fetched files of remote stores."""
    manifest = load_manifest(store, step, key)
    return Artifact(store, manifest, cache) if manifest else None


def artifact_files(entries: Mapping[str, Path], step: str, key: str, attempt: str) -> dict[str, FileEntry]:
    """Entries for local files about to be uploaded under the attempt's folder. Pure but for reading the files."""
    return {
        name: FileEntry(f"artifacts/{step}/{key}/{attempt}/{name}", path.stat().st_size, file_sha256(path))
        for name, path in entries.items()
    }
