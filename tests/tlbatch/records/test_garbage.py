"""What may go: nothing that anything reaches, nothing young, nothing of a task that runs."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.nobody import as_nobody
from tlbatch.champions.champion import Champion, crown, load_champion, terms
from tlbatch.champions.decisions import decisions, record_decision
from tlbatch.errors import StudyError
from tlbatch.records.executions import Execution
from tlbatch.records.garbage import DAY_S, YOUNG_S, find_garbage, remove, remove_execution
from tlbatch.store import Store
from tlbatch.store.artifacts import FileEntry, Manifest, load_manifest, manifest_name
from tlbatch.store.directory import DirectoryStore
from tlbatch.store.lease import Lease
from tlbatch.tasks import InputRef, Task, task_name

KEYS = {
    name: f"{number:040x}" for number, name in enumerate(("kept", "old", "lost", "running", "champion", "images", "refused"), 1)
}


def artifact(store: Store, name: str, *borrowed: str) -> None:
    """An artifact with a file of its own and files of older artifacts."""
    key = KEYS[name]
    files = {"own": FileEntry(f"artifacts/extract/{key}/a1/own", 3, "0")}
    store.put(files["own"].path, b"own")
    files |= {other: FileEntry(f"artifacts/extract/{KEYS[other]}/a1/own", 3, "0") for other in borrowed}
    store.put(manifest_name("extract", key), Manifest("extract", key, files).to_json())
    store.put(f"tasks/{key}.json", b"{}")
    store.put(f"work/{key}/logs/x-00000.txt", b"log")


def execution(store: Store, name: str, key: str, updated: float, state: str = "succeeded") -> Execution:
    made = Execution(store, f"{name}-20261123-0412-x7k2")
    made.save_study("name: x")
    made.save_plan({"tasks": {"t": {"key": key}}})
    made.save_status({"state": state, "started": updated, "tasks": {}}, lambda: updated)
    return made


@pytest.fixture
def filled(store: Store) -> Store:
    fill(store)
    return store


def fill(store: Store) -> None:
    now = time.time()
    artifact(store, "lost")
    artifact(store, "old")
    artifact(store, "kept", "old")
    artifact(store, "running")
    artifact(store, "champion")
    execution(store, "recent", KEYS["kept"], now)
    execution(store, "ancient", KEYS["old"], now - 20 * DAY_S)
    store.put("champions/pets.json", json.dumps({"model": KEYS["champion"]}).encode())
    store.put("weights/net.pth", b"weights")


def later() -> float:
    """So much later that everything is old enough."""
    return time.time() + YOUNG_S + 60


def gone(garbage: Any) -> set[str]:
    return {stat.name for stat in garbage.objects}


def test_what_nothing_reaches_goes_and_the_rest_stays(filled: Store, clock: Any) -> None:
    clock.now = later()
    lease = Lease.acquire(filled, KEYS["running"], "somebody", clock=clock)
    assert isinstance(lease, Lease)
    garbage = find_garbage(filled, 30 * DAY_S, clock)
    assert {name for name in gone(garbage) if KEYS["lost"] in name} == gone(garbage)
    assert len(gone(garbage)) == 4
    remove(filled, garbage)
    assert load_manifest(filled, "extract", KEYS["lost"]) is None
    assert all(load_manifest(filled, "extract", KEYS[name]) for name in ("kept", "old", "running", "champion"))


def test_an_execution_past_its_time_goes_but_not_the_files_others_borrow(filled: Store) -> None:
    garbage = find_garbage(filled, 10 * DAY_S, later)
    assert garbage.executions == ("ancient-20261123-0412-x7k2",)
    remove(filled, garbage)
    assert load_manifest(filled, "extract", KEYS["old"]) is None
    assert filled.get(f"artifacts/extract/{KEYS['old']}/a1/own") == b"own"  # the kept artifact points at it
    assert [stat.name for stat in filled.list("executions/ancient")] == []
    assert filled.get("weights/net.pth") == b"weights"


def test_files_of_nobody_stay_wherever_they_lie(filled: Store) -> None:
    """What a file manager leaves in a folder of the store is no artifact: gc ended as a bug."""
    foreign = {"artifacts/Thumbs.db", "artifacts/extract/Thumbs.db", "executions/Thumbs.db", "tasks/Thumbs.db", "Thumbs.db"}
    for name in foreign:
        filled.put(name, b"foreign")
    assert gone(find_garbage(filled, 10 * DAY_S, later)) & foreign == set()


def test_young_things_stay_whatever_reaches_them(filled: Store) -> None:
    assert gone(find_garbage(filled, 30 * DAY_S)) == set()


def test_an_execution_that_runs_is_kept(store: Store) -> None:
    running = execution(store, "now", KEYS["kept"], time.time(), state="running")
    with pytest.raises(StudyError, match="tlbatch cancel"):
        remove_execution(store, running)
    assert find_garbage(store, 0.0, later).executions == ()


def test_an_execution_whose_driver_was_killed_goes_in_its_time(store: Store) -> None:
    """What says that it runs and has said nothing for a month has no driver."""
    for name, key, days in (("dead", "old", 40), ("silent", "kept", 6)):
        artifact(store, key)
        execution(store, name, KEYS[key], time.time() - days * DAY_S, state="running")
    assert {each.partition("-")[0] for each in find_garbage(store, 5 * DAY_S, later).executions} == {"dead"}


def test_rm_forgets_the_records(store: Store) -> None:
    made = execution(store, "over", KEYS["kept"], time.time())
    assert remove_execution(store, made) == 3
    assert list(store.list("executions/")) == []


def test_a_champion_keeps_what_it_was_made_from_but_not_features_nor_the_refused(store: Store) -> None:
    for name in ("champion", "images", "old", "refused"):
        artifact(store, name)
    inputs = {"dataset": InputRef("prepare", KEYS["images"], ""), "features": InputRef("extract", KEYS["old"], "")}
    store.put(task_name(KEYS["champion"]), Task("finetune", {}, inputs).to_json())
    model = InputRef("finetune", KEYS["champion"], "c" * 64)
    first = crown(store, Champion("pets", 1, "pets", "head", 0, {"model:0": model}, model), None)
    crown(store, Champion("pets", 2, "pets", "head", 0, {}, InputRef("x", "f" * 40, "")), load_champion(store, "pets")[1])
    record_decision(store, "pets", "pets-3", {"outcome": "refused", "challenger": {"key": KEYS["refused"]}})
    remove(store, find_garbage(store, 30 * DAY_S, later))
    assert [name for name in KEYS if load_manifest(store, "extract", KEYS[name])] == ["champion", "images"]
    assert first in terms(store, "pets")
    assert len(decisions(store, "pets")) == 1


@pytest.mark.s3
def test_unfinished_uploads_are_ended(s3_store: Any, tmp_path: Path) -> None:
    s3_store._client.create_multipart_upload(Bucket=s3_store.bucket, Key=s3_store._key("artifacts/x"))
    assert s3_store.abort_uploads(1e9) == 0
    assert s3_store.abort_uploads(-60.0, dry_run=True) == 1
    assert s3_store.abort_uploads(-60.0) == 1
    assert s3_store.abort_uploads(-60.0) == 0


@pytest.mark.promise(9)
@pytest.mark.parametrize("shut", ["executions", "executions/recent-20261123-0412-x7k2", "champions"])
def test_nothing_goes_while_a_folder_of_the_store_cannot_be_opened(shut: str) -> None:
    """Fails when such a folder counts as empty, as it did: all that its executions and champions need was deleted."""
    with tempfile.TemporaryDirectory() as folder:
        store = DirectoryStore(Path(folder) / "store")
        fill(store)
        (store.root / shut).chmod(0)
        try:
            with as_nobody(Path(folder)), pytest.raises(StudyError, match=rf"{shut} could not be listed \(Permission denied\)"):
                find_garbage(store, clock=later)
        finally:
            (store.root / shut).chmod(0o755)


def test_only_executions_that_go_are_said_to(store: Store) -> None:
    """One that ended is forgotten once its records are old, too."""
    execution(store, "ancient", KEYS["old"], time.time() - 40 * DAY_S)
    assert find_garbage(store).executions == ()
    assert find_garbage(store, clock=later).executions == ("ancient-20261123-0412-x7k2",)
