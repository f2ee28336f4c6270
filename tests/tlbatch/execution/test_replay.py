"""One task of a store, run again here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlbatch.errors import StudyError
from tlbatch.execution.replay import replay
from tlbatch.store import Store
from tlbatch.store.artifacts import Manifest, commit
from tlbatch.tasks import Task, task_name

TASK = Task("prepare", {"dataset": "0", "stored_size": 512, "max_bad": 0.0, "near_duplicates": False}, name="prepare")


@pytest.fixture
def filled(directory_store: Store, tmp_path: Path) -> Store:
    task = Task(TASK.step, TASK.params, locations={"dataset": str(tmp_path), "listing": "work/nothing.json"}, name="prepare")
    directory_store.put(task_name(task.key), task.to_json())
    return directory_store


def test_a_replayed_task_ends_with_its_own_code(filled: Store, capfd: pytest.CaptureFixture[str]) -> None:
    assert replay(TASK.key[:8], filled.url) == 75
    assert "work/nothing.json" in capfd.readouterr().err


def test_what_is_complete_or_not_there_is_said(filled: Store) -> None:
    with pytest.raises(StudyError, match="no such task"):
        replay("f" * 8, filled.url)
    commit(filled, Manifest("prepare", TASK.key, {}), "a1")
    with pytest.raises(StudyError, match="is complete"):
        replay(TASK.key, filled.url)
