"""Artifacts: commit races, and readers that meet what does not hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tlbatch.errors import CorruptArtifactError, StudyError
from tlbatch.store import Store
from tlbatch.store.artifacts import (
    Artifact,
    FileEntry,
    Manifest,
    artifact_files,
    commit,
    load_manifest,
    manifest_name,
    open_artifact,
    read_file,
    set_aside_names,
)
from tlbatch.store.documents import as_is

STEP, KEY = "finetune", "0" * 40


def upload_attempt(store: Store, folder: Path, attempt: str, content: bytes = b"weights") -> Manifest:
    path = folder / f"{attempt}.bin"
    path.write_bytes(content)
    files = artifact_files({"model.bin": path}, STEP, KEY, attempt)
    store.upload(path, files["model.bin"].path)
    return Manifest(STEP, KEY, files, {"attempt": attempt})


def committed(store: Store, folder: Path) -> Artifact:
    commit(store, upload_attempt(store, folder, "one"), "one")
    artifact = open_artifact(store, STEP, KEY, folder / "cache")
    assert artifact is not None
    return artifact


def names(store: Store) -> list[str]:
    return [stat.name.removeprefix(f"artifacts/{STEP}/{KEY}/") for stat in store.list()]


def test_an_artifact_is_there_once_its_manifest_is(store: Store, tmp_path: Path) -> None:
    manifest = upload_attempt(store, tmp_path, "one")
    assert open_artifact(store, STEP, KEY, tmp_path / "cache") is None
    assert commit(store, manifest, "one") == manifest
    artifact = open_artifact(store, STEP, KEY, tmp_path / "cache")
    assert artifact is not None
    assert artifact.digest == manifest.digest
    assert artifact.read_bytes("model.bin") == b"weights"
    assert artifact.read_range("model.bin", 2, 3) == b"igh"


@pytest.mark.promise(1)
def test_the_digest_covers_names_and_contents_only() -> None:
    """Fails when the digest holds what was noted while it was made (times, devices): all that builds on it has another key."""

    def digest(name: str, path: str, sha256: str, made: int) -> str:
        return Manifest(STEP, KEY, {name: FileEntry(path, 1, sha256)}, {"seconds": made}).digest

    assert digest("a", "x/1/a", "00", 1) == digest("a", "x/2/a", "00", 2)
    assert digest("a", "x/1/a", "00", 1) != digest("b", "x/1/a", "00", 1)
    assert digest("a", "x/1/a", "00", 1) != digest("a", "x/1/a", "01", 1)


def test_who_commits_second_drops_its_files_and_gets_the_winners(store: Store, tmp_path: Path) -> None:
    first, second = (upload_attempt(store, tmp_path, attempt) for attempt in ("one", "two"))
    commit(store, first, "one")
    assert commit(store, second, "two").made == {"attempt": "one"}
    assert names(store) == ["manifest.json", "one/model.bin"]


def test_committing_twice_keeps_the_files(store: Store, tmp_path: Path) -> None:
    manifest = upload_attempt(store, tmp_path, "one")
    assert commit(store, manifest, "one") == commit(store, manifest, "one") == manifest
    assert names(store) == ["manifest.json", "one/model.bin"]


def test_many_attempts_at_once_leave_one(store: Store, tmp_path: Path) -> None:
    manifests = {name: upload_attempt(store, tmp_path, name) for name in ("a", "b", "c", "d")}
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda name: commit(store, manifests[name], name), manifests))
    winners = {manifest.made["attempt"] for manifest in results}
    assert len(winners) == 1
    assert names(store) == sorted(["manifest.json", f"{winners.pop()}/model.bin"])


def test_a_manifest_that_does_not_hold_yields_its_place(store: Store, tmp_path: Path) -> None:
    store.put(manifest_name(STEP, KEY), b"{ cut off")
    manifest = upload_attempt(store, tmp_path, "one")
    assert commit(store, manifest, "one") == manifest
    assert load_manifest(store, STEP, KEY) == manifest
    assert len(set_aside_names(store, STEP, KEY)) == 1


def damage_digest(document: dict[str, object]) -> None:
    document["digest"] = "0" * 64


def damage_path(document: dict[str, dict[str, dict[str, object]]]) -> None:
    document["files"]["model.bin"]["path"] = "../../etc/passwd"


def damage_shape(document: dict[str, object]) -> None:
    document["files"] = ["model.bin"]


@pytest.mark.parametrize("damage", [damage_digest, damage_path, damage_shape])
def test_damaged_manifests_are_set_aside_and_count_as_absent(store: Store, tmp_path: Path, damage: object) -> None:
    document = json.loads(upload_attempt(store, tmp_path, "one").to_json())
    damage(document)  # type: ignore[operator]
    store.put(manifest_name(STEP, KEY), json.dumps(document).encode())
    assert load_manifest(store, STEP, KEY) is None
    (aside,) = set_aside_names(store, STEP, KEY)
    assert aside.startswith(f"{manifest_name(STEP, KEY)}.bad-")
    assert json.loads(store.get(aside)) == document


def test_a_manifest_of_a_newer_format_is_refused_and_stays(store: Store, tmp_path: Path) -> None:
    document = json.loads(upload_attempt(store, tmp_path, "one").to_json())
    store.put(manifest_name(STEP, KEY), json.dumps({**document, "format": 2}).encode())
    with pytest.raises(StudyError, match="format 2, this tlbatch reads up to 1; upgrade it"):
        load_manifest(store, STEP, KEY)
    assert store.stat(manifest_name(STEP, KEY)) is not None


def test_unknown_fields_of_a_manifest_are_ignored(store: Store, tmp_path: Path) -> None:
    manifest = upload_attempt(store, tmp_path, "one")
    store.put(manifest_name(STEP, KEY), json.dumps({**json.loads(manifest.to_json()), "later": 1}).encode())
    assert load_manifest(store, STEP, KEY) == manifest


@pytest.mark.promise(9)
@pytest.mark.parametrize("content", [b"WEIGHTS", b"cut"], ids=["same size", "shorter"])
@pytest.mark.parametrize("read", [lambda a: a.path("model.bin"), lambda a: a.read_range("model.bin", 0, 1)])
def test_a_file_whose_hash_differs_sets_the_manifest_aside(
    store: Store, tmp_path: Path, content: bytes, read: Callable[[Artifact], object]
) -> None:
    """Fails when only the size of a file is compared, or when a range of it is read without that."""
    artifact = committed(store, tmp_path)
    store.put(artifact.manifest.files["model.bin"].path, content)
    with pytest.raises(CorruptArtifactError, match=r"model\.bin does not match its manifest.*run the study again"):
        read(artifact)
    assert load_manifest(store, STEP, KEY) is None
    assert len(set_aside_names(store, STEP, KEY)) == 1


@pytest.mark.parametrize("read", [lambda a: a.path("model.bin"), lambda a: a.read_range("model.bin", 0, 1)])
def test_a_file_that_is_gone_sets_the_manifest_aside(store: Store, tmp_path: Path, read: object) -> None:
    artifact = committed(store, tmp_path)
    store.delete([artifact.manifest.files["model.bin"].path])
    with pytest.raises(CorruptArtifactError, match=r"model\.bin is gone"):
        read(artifact)  # type: ignore[operator]
    assert load_manifest(store, STEP, KEY) is None


def test_a_manifest_mended_meanwhile_stays(store: Store, tmp_path: Path) -> None:
    artifact = committed(store, tmp_path)
    store.delete([artifact.manifest.files["model.bin"].path, manifest_name(STEP, KEY)])
    mended = commit(store, upload_attempt(store, tmp_path, "two"), "two")
    with pytest.raises(CorruptArtifactError):
        artifact.path("model.bin")
    assert load_manifest(store, STEP, KEY) == mended


@pytest.mark.s3
def test_a_damaged_cache_is_fetched_again(s3_store: Store, tmp_path: Path) -> None:
    path = committed(s3_store, tmp_path).path("model.bin")
    path.write_bytes(b"WEIGHTS")
    again = open_artifact(s3_store, STEP, KEY, tmp_path / "cache")
    assert again is not None
    assert again.read_bytes("model.bin") == b"weights"
    assert set_aside_names(s3_store, STEP, KEY) == []


class FlippedOnTheWay:
    """A remote store whose first ``times`` answers of an artifact's file have one bit flipped."""

    def __init__(self, store: Store, times: int) -> None:
        self._store, self._left = store, times

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def local_path(self, name: str) -> None:
        return None

    def get(self, name: str) -> bytes:
        return self._flipped(name, self._store.get(name))

    def download(self, name: str, path: Path) -> None:
        path.write_bytes(self._flipped(name, self._store.get(name)))

    def _flipped(self, name: str, data: bytes) -> bytes:
        if name.endswith("manifest.json") or self._left == 0:
            return data
        self._left -= 1
        return data[:3] + bytes([data[3] ^ 1]) + data[4:]


READS = {
    "path": lambda artifact: artifact.path("model.bin").read_bytes(),
    "range": lambda artifact: artifact.read_range("model.bin", 0, 100),
    "file": lambda artifact: json.dumps(read_file(artifact.store, artifact.manifest, "model.bin", as_is)).encode(),
}


@pytest.mark.promise(9)
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_bit_flipped_on_the_way_gives_up_no_artifact(
    directory_store: Store, tmp_path: Path, read: Callable[[Artifact], bytes], times: int
) -> None:
    """Fetched once more; only what is wrong twice is damaged. Failed before: the manifest was set aside at once. Fails when a
    document of an artifact is taken as it comes.
    """
    commit(directory_store, upload_attempt(directory_store, tmp_path, "one", b'{"a": 1}'), "one")
    artifact = open_artifact(FlippedOnTheWay(directory_store, times), STEP, KEY, tmp_path / "cache")  # type: ignore[arg-type]
    assert artifact is not None
    if times == 1:
        assert read(artifact) == b'{"a": 1}'
        assert set_aside_names(directory_store, STEP, KEY) == []
    else:
        with pytest.raises(CorruptArtifactError, match="does not match its manifest"):
            read(artifact)
        assert len(set_aside_names(directory_store, STEP, KEY)) == 1
