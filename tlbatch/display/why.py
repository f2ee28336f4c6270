"""One sentence for everything that can keep an execution from going on. The store first, then the cluster where it helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tlbatch.cluster.client import JOB_NAME, JOBS, PODS, Cluster
from tlbatch.cluster.diagnosis import explain_job
from tlbatch.cluster.submission import FIRING
from tlbatch.errors import StudyError, TlbatchError
from tlbatch.manifests.names import EXECUTION, TASK
from tlbatch.records.executions import FINAL_STATES, Execution, load_document
from tlbatch.records.task_records import read_exit

STALE_S = 60.0


@dataclass(frozen=True)
class Reason:
    """``what``: the execution's id, or a task's name. ``source``: ``store`` or ``cluster``."""

    what: str
    state: str
    sentence: str
    source: str = "store"


def explain(execution: Execution, cluster: Callable[[], Cluster], task: str = "") -> list[Reason]:
    """Of one task, or of all that do not simply go well. Never empty. Raises StudyError for a task that is not there."""
    status = execution.load_status() or {}
    tasks: dict[str, Any] = status.get("tasks", {})
    if task and task not in tasks:
        raise StudyError(f"no task {task!r} in {execution.id}; there are {', '.join(tasks) or 'none yet'}")
    state = str(status.get("state", "not started"))
    reasons = [_of_task(execution, name, tasks[name]) for name in ([task] if task else tasks)]
    if state not in FINAL_STATES:
        reasons = _live(execution, cluster, reasons, state)
    told = [reason for reason in reasons if task or (reason.sentence and reason.state not in ("pending", "done", "cached"))]
    if status.get("sentence"):
        told.insert(0, Reason(execution.id, state, str(status["sentence"])))
    return told or [Reason(execution.id, state, _all_well(state))]


def _of_task(execution: Execution, name: str, task: dict[str, Any]) -> Reason:
    """From the store: the driver's sentence, else the step's own last words."""
    state = str(task.get("state"))
    place = task.get("place") or {}
    sentence = str(task.get("sentence") or "")
    if state == "running":
        sentence = str(place.get("waits") or sentence)
    if state == "failed" and not sentence and task.get("key"):
        sentence = str((read_exit(execution.store, task["key"]) or {}).get("sentence", ""))
    if state == "blocked":
        sentence = f"not started because {sentence}"
    return Reason(name, state, sentence or _plain(state))


def _live(execution: Execution, cluster: Callable[[], Cluster], reasons: list[Reason], state: str) -> list[Reason]:
    """The cluster's own words, where it answers: of the driver, and of tasks that wait."""
    try:
        opened = cluster()
        selector = f"{EXECUTION}={execution.id}"
        jobs, pods = opened.list(JOBS, selector)[0], opened.list(PODS, selector)[0]
        if all(job["metadata"]["name"] != execution.id for job in jobs):
            jobs, pods = _with_driver(opened, execution.id, jobs, pods)
        said = {_task_of(job): _sentence(opened, job, pods) for job in jobs}
        driver = next((job for job in jobs if job["metadata"]["name"] == execution.id), None)
    except TlbatchError as error:
        return [*reasons, Reason("cluster", "unknown", str(error), "cluster")]
    words = said.get("", "") if driver is not None else f"its driver's Job is gone: {_way_on(execution)} goes on"
    live = [Reason(r.what, r.state, said[r.what], "cluster") if said.get(r.what) else r for r in reasons]
    return [Reason(execution.id, state, words, "cluster"), *live] if words else live


def _with_driver(
    cluster: Cluster, execution: str, jobs: list[dict[str, Any]], pods: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A CronJob's Jobs have the execution's name, and no label with it."""

    driver = cluster.get(JOBS, execution)
    if driver is None:
        return jobs, pods
    return [*jobs, driver], [*pods, *cluster.list(PODS, f"{JOB_NAME}={execution}")[0]]


def _way_on(execution: Execution) -> str:
    firing = load_document(execution.store, execution.name(FIRING))
    return f"`tlbatch schedule trigger {firing['schedule']}`" if firing else f"`tlbatch resume {execution.id}`"


def _sentence(cluster: Cluster, job: dict[str, Any], pods: list[dict[str, Any]]) -> str:
    from tlbatch.cluster.events import job_events

    name = job["metadata"]["name"]
    own = [pod for pod in pods if pod["metadata"].get("labels", {}).get(JOB_NAME) == name]
    return explain_job(job, own, [] if own else job_events(cluster, job))


def _task_of(job: dict[str, Any]) -> str:
    return str(job["metadata"].get("annotations", {}).get(TASK, ""))


def _plain(state: str) -> str:
    return {
        "running": "runs",
        "ready": "could start: waits for room",
        "pending": "what it needs is not complete",
        "done": "done",
        "cached": "was in the store before",
    }.get(state, "")


def _all_well(state: str) -> str:
    return {
        "succeeded": "it succeeded",
        "running": "nothing is wrong: it runs",
        "cancelled": "it was cancelled",
        "not started": "its driver has not written anything yet",
    }.get(state, f"it is {state}")
