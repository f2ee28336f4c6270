"""Artifacts: what tasks left in the store. Immutable; complete once their manifest is there, which is written last."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tlbatch.errors import CorruptArtifactError, StudyError, TransientError
from tlbatch.store.housekeeping import tidy
from tlbatch.store.names import check_name
from tlbatch.store.protocol import ConflictError, NotFoundError, Store

MANIFEST_FORMAT = 1
COMMIT_TRIES = 5


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
        document = json.loads(data)
        if document["format"] > MANIFEST_FORMAT:
            raise StudyError(
                f"artifacts/{document['step']}/{document['key']}: its manifest has format {document['format']}, this tlbatch "
                f"reads up to {MANIFEST_FORMAT}; upgrade it"
            )
        files = {name: FileEntry(e["path"], e["size"], e["sha256"]) for name, e in document["files"].items()}
        for name, entry in files.items():
            check_name(name)
            check_name(entry.path)
        manifest = Manifest(document["step"], document["key"], files, document.get("made", {}))
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
        return Manifest.from_json(data)
    except (ValueError, KeyError, TypeError, AttributeError):
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
    when = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    store.put(f"{name}.bad-{when}-{secrets.token_hex(2)}", bad)
    store.delete([name])


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

        Raises CorruptArtifactError (and sets the manifest aside) when the content is not what was written or is gone.
        """
        if name not in self._checked:
            entry = self.manifest.files[name]
            local = self.store.local_path(entry.path)
            self._checked[name] = self._fetched(name, entry) if local is None else self._verified(name, entry, local)
        return self._checked[name]

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
        try:
            return self.store.get_range(self.manifest.files[name].path, offset, size)
        except NotFoundError as error:
            raise self._corrupt(name, "is gone") from error

    def _fetched(self, name: str, entry: FileEntry) -> Path:
        """The file in the cache, fetched unless it is there and holds: a damaged cache is no fault of the artifact."""
        target = self._cache / entry.sha256
        if target.exists() and _holds(target, entry):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.store.download(entry.path, target)
        except NotFoundError as error:
            raise self._corrupt(name, "is gone") from error
        return self._verified(name, entry, target)

    def _verified(self, name: str, entry: FileEntry, path: Path) -> Path:
        try:
            holds = _holds(path, entry)
        except FileNotFoundError as error:
            raise self._corrupt(name, "is gone") from error
        if not holds:
            raise self._corrupt(name, "does not match its manifest")
        return path

    def _corrupt(self, name: str, what: str) -> CorruptArtifactError:
        step, key = self.manifest.step, self.manifest.key
        with suppress(NotFoundError, ValueError, KeyError, TypeError):
            data = self.store.get(manifest_name(step, key))
            if Manifest.from_json(data).files == self.manifest.files:  # else: another process has mended it already
                set_aside(self.store, step, key, data)
        return CorruptArtifactError(
            f"{self.store.url}/artifacts/{step}/{key}: file {name} {what}; its manifest was set aside, run the study again"
        )


def _holds(path: Path, entry: FileEntry) -> bool:
    """Whether a local file has the size and hash of the entry. Raises FileNotFoundError."""
    return path.stat().st_size == entry.size and file_sha256(path) == entry.sha256


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
