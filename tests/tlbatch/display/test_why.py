"""Why an execution does not go on: told from the store, with the cluster's words where it answers."""

from __future__ import annotations

from typing import Any

import pytest

from tlbatch.cluster.errors import UnreachableError
from tlbatch.display.why import explain
from tlbatch.errors import StudyError
from tlbatch.manifests.names import TASK
from tlbatch.records.executions import Execution
from tlbatch.store import Store

ID = "pets-20261123-0412-x7k2"


class FakeCluster:
    """One Job of a task, without a pod, and its events."""

    def __init__(self, *jobs: str, message: str = "", cron: bool = False) -> None:
        self.jobs, self.message, self.cron = jobs, message, cron

    def get(self, kind: str, name: str) -> Any:
        """A CronJob's Job: no label tells its execution."""
        return {"metadata": {"name": name}, "spec": {}, "status": {}} if self.cron else None

    def list(self, kind: str, labels: str = "", fields: str = "") -> Any:
        if kind.endswith("jobs"):
            named = [
                {"name": name, "annotations": {TASK: name.removeprefix("job-")} if name != ID else {}} for name in self.jobs
            ]
            return [{"metadata": metadata, "spec": {}, "status": {}} for metadata in named], "1"
        if kind.endswith("events") and self.message and ID not in fields:
            return [{"reason": "FailedCreate", "message": self.message, "involvedObject": {"name": "x"}}], "1"
        return [], "1"


@pytest.fixture
def execution(store: Store) -> Execution:
    return Execution(store, ID)


def away() -> Any:
    raise UnreachableError("the cluster cannot be reached")


def test_a_failure_is_told_from_the_store_alone(execution: Execution) -> None:
    tasks = {
        "prepare": {"state": "failed", "sentence": "12 % of the files are bad"},
        "report": {"state": "blocked", "sentence": "prepare failed"},
    }
    execution.save_status({"state": "failed", "tasks": tasks})
    reasons = explain(execution, lambda: pytest.fail("the cluster was asked"))
    assert [(r.what, r.sentence) for r in reasons] == [
        ("prepare", "12 % of the files are bad"),
        ("report", "not started because prepare failed"),
    ]


def test_what_a_running_task_waits_for(execution: Execution) -> None:
    waits = "no node has a free GPU for it"
    tasks = {"a": {"state": "running", "place": {"waits": waits}}, "b": {"state": "done"}}
    execution.save_status({"state": "running", "tasks": tasks})
    reasons = explain(execution, away)
    assert [(r.what, r.sentence) for r in reasons] == [("a", waits), ("cluster", "the cluster cannot be reached")]


def test_the_clusters_own_words_come_first(execution: Execution) -> None:
    execution.save_status({"state": "running", "tasks": {"a": {"state": "running"}}})
    message = 'Error creating: pods "x" is forbidden: exceeded quota: small'
    reasons = explain(execution, lambda: FakeCluster(ID, "job-a", message=message))  # type: ignore[arg-type, return-value]
    assert [(r.what, r.source) for r in reasons] == [("a", "cluster")]
    assert "quota" in reasons[0].sentence


def test_a_driver_that_is_gone(execution: Execution) -> None:
    execution.save_status({"state": "running", "tasks": {}})
    reasons = explain(execution, lambda: FakeCluster())  # type: ignore[arg-type, return-value]
    assert "tlbatch resume" in reasons[0].sentence


def test_a_firing(execution: Execution) -> None:
    execution.store.put(execution.name("firing.json"), b'{"schedule": "pets"}')
    execution.save_status({"state": "running", "tasks": {}})
    reasons = explain(execution, lambda: FakeCluster())  # type: ignore[arg-type, return-value]
    assert "`tlbatch schedule trigger pets` goes on" in reasons[0].sentence
    reasons = explain(execution, lambda: FakeCluster(cron=True))  # type: ignore[arg-type, return-value]
    assert [r.sentence for r in reasons] == ["nothing is wrong: it runs"]


def test_nothing_is_wrong(execution: Execution) -> None:
    execution.save_status({"state": "succeeded", "tasks": {"a": {"state": "done"}}})
    assert [r.sentence for r in explain(execution, away)] == ["it succeeded"]


def test_an_unknown_task(execution: Execution) -> None:
    execution.save_status({"state": "running", "tasks": {"a": {"state": "running"}}})
    with pytest.raises(StudyError, match=r"no task 'b'.*there are a"):
        explain(execution, away, "b")
