"""Deleting Jobs and pods never fails a driver, a cancel or doctor: one line, and on it goes. Over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tlbatch.backends.kubernetes import OUTLIVE_S, KubernetesBackend
from tlbatch.cluster import Cluster
from tlbatch.cluster.cancel import cancel
from tlbatch.manifests import DriverIdentity, Needs, Site, names
from tlbatch.planning import Node
from tlbatch.records.executions import Execution
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import Task

EXECUTION = "pets-20261123-0412-x7k2"
TASKS = [Task("prepare", {"number": number}, name=f"task-{number}") for number in range(3)]
REFUSALS = {
    "forbidden": (403, 'jobs.batch "x" is forbidden: cannot delete resource "jobs"', "you may not delete jobs"),
    "an admission webhook": (403, "admission webhook keep.example denied the request", "admission refused"),
    "a server that is away": (503, "starting", "try again later"),
}


def job_of(task: Task, how: str | None) -> dict[str, Any]:
    labels = {names.EXECUTION: EXECUTION, names.COMPONENT: "step", names.KEY: task.key}
    metadata = {"name": f"job-{task.name}", "labels": labels, "ownerReferences": [{"uid": "u"}], "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {}, "status": {"conditions": [{"type": how, "status": "True"}] if how else []}}


def api(server: Any, refusal: tuple[int, str], pods: list[Any] | None = None) -> list[str]:
    """All Jobs but the last have ended, and the server refuses to delete; returns what it was asked to delete."""
    jobs = [job_of(task, "Complete") for task in TASKS[:-1]] + [job_of(TASKS[-1], None)]
    deletes: list[str] = []

    def answer(method: str, path: str, body: Any) -> tuple[int, Any]:
        if method == "DELETE":
            deletes.append(path.rpartition("/")[2])
            return refusal[0], {"kind": "Status", "code": refusal[0], "message": refusal[1]}
        if "watch=1" in path:
            return 200, []
        items = (pods or []) if "/pods" in path else jobs
        return 200, {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items}

    server.next = answer
    return deletes


def backend_of(cluster: Cluster, folder: Path, clock: Callable[[], float]) -> KubernetesBackend:
    return KubernetesBackend(
        store=DirectoryStore(folder),
        connect=lambda: cluster,
        site=Site("s3://nowhere/x", "localhost", namespace="tlbatch", secret=None),
        needs=lambda node: Needs(cpu="1", memory="1Gi", scratch="1Gi"),
        execution=EXECUTION,
        study="pets",
        owner=DriverIdentity(EXECUTION, "u"),
        limit=10,
        clock=clock,
    )


@pytest.mark.parametrize("refused", REFUSALS)
def test_jobs_that_cannot_be_deleted_end_all_the_same(
    server: Any, client: Callable[..., Cluster], tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: str
) -> None:
    """Failed before: ``ended`` raised when the first Job was to go, ``sweep`` and ``stop`` too, and the driver ended with 2."""
    code, message, words = REFUSALS[refused]
    deletes = api(server, (code, message))
    now = [1000.0]
    backend = backend_of(client(deadline_s=0.0), tmp_path, lambda: now[0])
    for task in TASKS:
        backend.start(task, Node(task.name, "prepare", task.params))
    assert {(end.key, end.code) for end in backend.ended(0.1)} == {(task.key, 0) for task in TASKS[:-1]}
    told = []
    for _ in range(3):
        now[0] += OUTLIVE_S
        assert backend.ended(0.0) == []
        told.append(len(deletes))
    assert told[0] == told[2], "asked again at every look"
    backend.sweep()
    assert [end.key for end in backend.stop(0.0)] == [TASKS[-1].key]
    backend.close()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert words in said[0]


def test_a_cancel_stands_where_pods_cannot_be_deleted(
    server: Any, client: Callable[..., Cluster], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their Jobs are gone, and they go with them. Failed before: exit 2, and the status said running."""
    pods = [{"metadata": {"name": f"p{number}"}, "status": {"phase": "Running"}} for number in range(2)]
    refuse = (403, 'pods "p0" is forbidden: cannot delete resource "pods"')
    asked = api(server, refuse, pods)
    refusing = server.next

    def answer(method: str, path: str, body: Any) -> tuple[int, Any]:
        return (200, {}) if method == "DELETE" and "/jobs/" in path else refusing(method, path, body)

    server.next = answer
    execution = Execution(DirectoryStore(tmp_path), EXECUTION)
    execution.save_study("name: pets\n")
    execution.save_status({"state": "running", "tasks": {}})
    assert cancel(execution, client()) == 0
    assert asked == ["p0", "p1"]
    assert execution.last_status()["state"] == "cancelled"
    assert capsys.readouterr().err.count("you may not delete pods") == 1
