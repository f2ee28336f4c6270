"""A small store with one of everything that fsck looks at, written by the functions that write it in earnest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.tlbatch.schedules.pets import STUDY
from tlbatch.champions.champion import Champion, crown
from tlbatch.champions.decisions import record_decision
from tlbatch.records.executions import Execution
from tlbatch.schedules.firings import FiringRecord, save_firing
from tlbatch.schedules.pins import Pins, save_pins
from tlbatch.schedules.schedule import StoredSchedule, change_schedule
from tlbatch.store import Store
from tlbatch.store.artifacts import FileEntry, Manifest, commit
from tlbatch.store.documents import sealed
from tlbatch.store.layout import check_format
from tlbatch.store.lease import LeaseInfo
from tlbatch.tasks import InputRef, Task, task_name

ID = "pets-20261128-0412-abcd"
WEIGHTS = bytes(range(256)) * 40


def make(store: Store, task: Task, files: Mapping[str, bytes]) -> InputRef:
    """The task's document and its artifact."""
    store.put(task_name(task.key), task.to_json())
    entries = {}
    for name, data in files.items():
        place = f"artifacts/{task.step}/{task.key}/one/{name}"
        store.put(place, data)
        entries[name] = FileEntry(place, len(data), hashlib.sha256(data).hexdigest())
    return InputRef(task.step, task.key, commit(store, Manifest(task.step, task.key, entries), "one").digest)


@pytest.fixture
def refs(store: Store) -> dict[str, InputRef]:
    return fill(store)


def fill(store: Store) -> dict[str, InputRef]:
    """One of everything; the artifacts by step."""
    check_format(store)
    prepare = make(store, Task("prepare", {"side": 16}), {"index.jsonl": b"{}\n", "shards/0.tar": WEIGHTS})
    pin = make(store, Task("pin", {}, {"dataset": prepare}), {"pins.json": b'{"test": []}'})
    model = make(store, Task("finetune", {"seed": 0}, {"dataset": prepare}), {"model.safetensors": WEIGHTS, "card.json": b"{}"})
    judged = make(store, Task("evaluate", {}, {"dataset": prepare, "model:0": model}), {"metrics.json": b'{"classes": ["a"]}'})
    pages = {"report.json": b'{"study": "pets"}', "index.html": b"<p>Pets</p>", "figures/a.svg": b"<svg/>"}
    report = make(store, Task("report", {}, {"evaluation": judged}), pages)
    refs = {ref.step: ref for ref in (prepare, pin, model, judged, report)}
    execution = Execution(store, ID)
    execution.save_study(STUDY)
    tasks = {step: {"state": "done", "step": step, "key": ref.key, "digest": ref.digest} for step, ref in refs.items()}
    execution.save_plan({"study": "pets", "tasks": tasks})
    execution.save_status({"state": "succeeded", "study": "pets", "tasks": tasks})
    store.put(execution.name("events/000001-driver.jsonl"), b'{"kind": "start", "time": 1.0}\n')
    for name, data in pages.items():
        store.put(execution.name(f"report/{name}"), data)
    first = crown(store, Champion("pets", 1, "pets", "cnn", 0, {"model:0": model}, judged, pin, classes=("a",)), None)
    etag = store.get_with_etag("champions/pets.json")[1]
    crown(store, replace(first, serial=2, before=1), etag)
    record_decision(store, "pets", ID, {"outcome": "promoted", "settled": {"serial": 2}}, lambda: 1e9)
    change_schedule(store, "pets", lambda _: StoredSchedule("pets", STUDY, 1.0, 1.0))
    save_pins(store, "pets", Pins(pin, 1, {1: 2}))
    save_firing(store, FiringRecord("pets", ID, "cron", 1e9, 1e9, 1e9, "succeeded"))
    store.put(f"work/{model.key}/lease.json", LeaseInfo("me", "t", 1.0, 1.0, 2.0).to_json())
    store.put(f"work/{model.key}/progress.json", sealed({"done": 1, "total": 2}))
    checkpoint = f"work/{model.key}/checkpoints/00000003/"
    store.put(f"{checkpoint}model.pt", WEIGHTS)
    store.put(f"{checkpoint}done.json", sealed({"files": {"model.pt": hashlib.sha256(WEIGHTS).hexdigest()}, "seconds": 1.0}))
    store.put("labels/pets/corrections.csv", b"path,label\na.jpg,cat\n")
    return refs
