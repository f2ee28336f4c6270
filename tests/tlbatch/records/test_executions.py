"""What executions and tasks leave in the store."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from tlbatch.cli import main
from tlbatch.errors import StudyError
from tlbatch.records.eventlog import EventLog
from tlbatch.records.executions import Execution, find_execution, list_executions, new_execution_id
from tlbatch.records.task_records import read_exit, read_logs, read_progress
from tlbatch.store import ConflictError, Store
from tlbatch.store.directory import DirectoryStore

WHEN = 1_795_407_120.0  # 2026-11-23 04:12 UTC


def test_ids_are_labels_that_say_study_and_time() -> None:
    assert re.fullmatch(r"dogs-vs-cats-20261123-0412-[a-z0-9]{4}", new_execution_id("dogs-vs-cats", WHEN))
    for study in ("x" * 200, "Über Katzen & Hunde", "a" * 32 + "-b", "---"):
        made = new_execution_id(study, WHEN)
        assert len(made) <= 52
        assert re.fullmatch(r"[a-z]([a-z0-9]|-(?!-))*[a-z0-9]", made)
    assert len({new_execution_id("a", WHEN) for _ in range(50)}) > 45


def test_study_plan_and_status(store: Store) -> None:
    execution = Execution(store, "pets-20261123-0412-aaaa")
    with pytest.raises(StudyError, match="no execution pets-20261123-0412-aaaa in"):
        execution.load_study()
    assert execution.load_plan() is None
    assert execution.load_status() is None
    execution.save_study("name: pets\n")
    with pytest.raises(ConflictError):
        execution.save_study("name: other\n")
    execution.save_plan({"tasks": {}})
    assert execution.save_status({"state": "running"}, lambda: 5.0)
    assert execution.load_study() == "name: pets\n"
    assert execution.load_plan() == {"tasks": {}}
    assert execution.load_status() == {"state": "running", "id": execution.id, "updated": 5.0}


def test_cancelled_is_final(store: Store) -> None:
    execution = Execution(store, "pets-20261123-0412-aaaa")
    assert execution.cancel_request() is None
    assert execution.request_cancel("wrong data", lambda: 7.0)
    assert not execution.request_cancel("again")
    assert execution.cancel_request() == {"reason": "wrong data", "time": 7.0}
    assert execution.save_status({"state": "cancelled"})
    assert not execution.save_status({"state": "succeeded"})
    assert execution.save_status({"state": "cancelled", "note": "all pods gone"})
    status = execution.load_status()
    assert status is not None
    assert status["state"] == "cancelled"


def test_events_of_drivers_one_after_another(store: Store) -> None:
    execution = Execution(store, "pets-20261123-0412-aaaa")
    first = EventLog(execution, "driver-1", lambda: 1.0)
    first.flush()
    first.add("started", task="prepare")
    first.add("done", task="prepare")
    first.flush()
    first.flush()
    second = EventLog(execution, "driver-2", lambda: 2.0)
    second.add("resumed")
    second.flush()
    events = execution.events()
    assert [event["kind"] for event in events] == ["started", "done", "resumed"]
    assert [event["object"] for event in events] == ["000001-driver-1.jsonl"] * 2 + ["000002-driver-2.jsonl"]
    assert [event["kind"] for event in execution.events(after="000001-driver-1.jsonl")] == ["resumed"]


def test_damaged_events_are_passed_over(store: Store) -> None:
    execution = Execution(store, "pets-20261123-0412-aaaa")
    store.put(execution.name("events/000001-d.jsonl"), b'{"kind": "started"}\n{"kind": "do')
    assert [event["kind"] for event in execution.events()] == ["started"]


def test_events_noted_while_another_thread_stores_them_are_kept(store: Store) -> None:
    execution = Execution(store, "pets-20261123-0412-aaaa")
    log = EventLog(execution, "driver")

    def note(number: int) -> None:
        log.add("tick", number=number)
        log.flush()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(note, range(20)))
    assert sorted(event["number"] for event in execution.events()) == list(range(20))


def tlbatch(*arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    return ended.value.code


@pytest.mark.parametrize(
    ("silent_s", "state", "said"),
    [
        (3600, "cancelled", "has said nothing for 60 min, so it is gone"),
        (1, "running", "its driver ends within seconds"),
    ],
)
def test_who_was_killed_can_be_cancelled_and_removed(
    silent_s: float, state: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails where only a driver records that it was cancelled: of a killed one nobody does, and rm sends one back to cancel."""
    store = DirectoryStore(tmp_path)
    killed = Execution(store, "pets-20261123-0412-aaaa")
    killed.save_study("")
    killed.save_status({"state": "running", "study": "pets", "tasks": {}}, lambda: time.time() - silent_s)
    assert tlbatch("cancel", "pets", "--store", str(tmp_path)) == 0
    assert said in capsys.readouterr().out
    assert killed.last_status()["state"] == state
    assert tlbatch("rm", killed.id, "--store", str(tmp_path)) == (0 if state == "cancelled" else 2)


def test_executions_are_listed_newest_first_and_found(store: Store) -> None:
    assert list_executions(store) == []
    with pytest.raises(StudyError, match=r"execution \(the newest\) is not there in .*; there: none yet"):
        find_execution(store)
    ids = ["pets-20261123-0412-aaaa", "pets-20261124-0412-bbbb", "breeds-20261122-0412-cccc"]
    for day, execution_id in enumerate(ids):
        execution = Execution(store, execution_id)
        execution.save_study("")
        if "breeds" not in execution_id:
            execution.save_status({"state": "succeeded", "study": "pets", "started": float(day)}, lambda: 10.0)
    listed = list_executions(store)
    assert [summary.id for summary in listed] == [ids[2], ids[1], ids[0]]
    assert (listed[0].study, listed[0].state) == ("breeds", "unknown")
    assert (listed[1].started, listed[1].updated, listed[1].state) == (1.0, 10.0, "succeeded")
    assert find_execution(store).id == ids[2]
    assert find_execution(store, "pets").id == ids[1]
    assert find_execution(store, ids[0]).id == ids[0]
    assert find_execution(store, "pets-20261123").id == ids[0]
    assert find_execution(store, "pets", lambda each: each.id == ids[0]).id == ids[0]
    assert find_execution(store, "pets", lambda each: False).id == ids[1]
    assert find_execution(store, ids[1], lambda each: each.id == ids[0]).id == ids[1]
    with pytest.raises(StudyError, match="execution pets-2026112 is ambiguous in"):
        find_execution(store, "pets-2026112")
    with pytest.raises(StudyError, match="execution cars is not there in"):
        find_execution(store, "cars")


class Counted:
    """A store that counts what is asked of it."""

    def __init__(self, store: Store) -> None:
        self._store, self.asked, self.url = store, 0, store.url

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        return getattr(self._store, name)


def test_a_whole_id_is_found_by_one_request_however_many_there_are(store: Store) -> None:
    """Fails when all executions are read for the one that is named."""
    ids = [f"pets-20261123-{number:04}-aaaa" for number in range(20)]
    for execution_id in ids:
        Execution(store, execution_id).save_study("")
        Execution(store, execution_id).save_status({"state": "succeeded", "study": "pets"})
    counted = Counted(store)
    assert find_execution(cast(Store, counted), ids[7]).id == ids[7]
    assert counted.asked == 1
    for text in ("../x", "a/b", "\0"):
        with pytest.raises(StudyError, match="is not there"):
            find_execution(store, text)


def test_what_a_task_says(store: Store) -> None:
    assert read_progress(store, "k") is None
    assert read_exit(store, "k") is None
    assert read_logs(store, "k") == []
    store.put("work/k/progress.json", json.dumps({"done": 1, "total": 2}).encode())
    store.put("work/k/exit.json", b"cut off {")
    for name in ("20261123T041200-1f-00001", "20261123T041200-1f-00000", "20261123T051200-2a-00000"):
        store.put(f"work/k/logs/{name}.txt", f"{name}\n".encode())
    assert read_progress(store, "k") == {"done": 1, "total": 2}
    assert read_exit(store, "k") is None
    pieces = read_logs(store, "k")
    assert [piece.attempt for piece in pieces] == ["20261123T041200-1f"] * 2 + ["20261123T051200-2a"]
    assert "".join(piece.text for piece in pieces).startswith("20261123T041200-1f-00000\n20261123T041200-1f-00001\n")
    assert read_logs(store, "k", {piece.name for piece in pieces[:2]}) == pieces[2:]
