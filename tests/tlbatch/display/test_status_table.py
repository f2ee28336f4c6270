"""Statuses as tables and as a tale, from the store alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tlbatch.display.follow import follow
from tlbatch.display.status_table import COLUMNS, cells, rows, stale
from tlbatch.records.executions import Execution
from tlbatch.store import Store

KEY = "0" * 40


@pytest.fixture
def execution(directory_store: Store) -> Execution:
    return Execution(directory_store, "pets-20261123-0412-x7k2")


def test_a_running_task_tells_how_far_it_is_and_where(execution: Execution) -> None:
    progress = {"done": 30, "total": 100, "unit": "epochs", "note": "loss 0.31, accuracy 88 %", "seconds": 60.0}
    execution.store.put(f"work/{KEY}/progress.json", json.dumps(progress).encode())
    place = {"node": "node-0", "restarts": 2, "phase": "Running"}
    tasks = {
        "report": {"step": "report", "state": "pending"},
        "finetune:a:0": {"step": "finetune", "state": "running", "key": KEY, "started": 940.0, "place": place},
        "prepare": {"step": "prepare", "state": "done", "seconds": 12.0},
    }
    found = rows(execution, {"tasks": tasks}, now=1000.0)
    assert [row.task for row in found] == ["prepare", "finetune:a:0", "report"]
    row = found[1]
    assert (row.rate, row.eta_s, row.seconds, row.node, row.restarts) == (0.5, 140.0, 60.0, "node-0", 2)
    shown = dict(zip(COLUMNS, cells(row), strict=True))
    assert shown["progress"] == "epoch 31 of 100, 0 %"
    assert shown["rate"] == "2.0 s per epoch"
    assert shown["left"] == "2 min 20 s"
    assert shown[""] == "loss 0.31, accuracy 88 %"


def test_a_task_whose_pod_does_not_run_yet_is_queued(execution: Execution) -> None:
    task = {"step": "finetune", "state": "running", "place": {"phase": "Pending", "waits": "no node has a free GPU"}}
    row = rows(execution, {"tasks": {"a": task}}, now=0.0)[0]
    assert (row.state, row.sentence) == ("queued", "no node has a free GPU")
    assert rows(execution, {"tasks": {"a": {"step": "finetune", "state": "running"}}}, now=0.0)[0].state == "running"


def test_a_driver_that_fell_silent() -> None:
    status = {"id": "x", "state": "running", "updated": 1000.0}
    assert stale(status, now=1060.0) == ""
    assert "tlbatch why x" in stale(status, now=1600.0)
    assert stale({**status, "state": "failed"}, now=1600.0) == ""


def test_following_tells_each_change_once_and_ends_with_the_execution(execution: Execution) -> None:
    statuses: list[dict[str, Any]] = [
        {"state": "running", "tasks": {"a": {"state": "pending"}}},
        {"state": "running", "tasks": {"a": {"state": "running", "place": {"phase": "Running"}}}},
        {"state": "running", "tasks": {"a": {"state": "running", "place": {"phase": "Running"}}}},
        {"state": "failed", "tasks": {"a": {"state": "failed", "sentence": "too many bad files"}}},
    ]
    told: list[str] = []

    def sleep(_seconds: float) -> None:
        execution.save_status(statuses.pop(0))

    assert follow(execution, None, told.append, sleep) == 1
    assert [line.split()[1] for line in told[:2]] == ["running", "failed"]
    assert "too many bad files" in told[1]
    assert told[2:] == [f"{execution.id}: failed"]
