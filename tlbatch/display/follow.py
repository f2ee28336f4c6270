"""An execution told as it goes, from the store alone: whoever tells may come and go, the execution does not mind."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from tlbatch.cluster.client import JOB_NAME, JOBS, PODS, Cluster
from tlbatch.cluster.diagnosis import explain_job
from tlbatch.display.status_table import state_of
from tlbatch.errors import TransientError
from tlbatch.records.executions import FINAL_STATES, Execution

EVERY_S = 2.0
ASK_CLUSTER_AFTER_S = 6.0
FAILED_CODE = 1


def follow(
    execution: Execution,
    cluster: Cluster | None,
    say: Callable[[str], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Tell every change until the end; returns 0 where it succeeded. While no driver writes, the cluster is asked why."""
    tell = say or (lambda text: click.echo(text, err=True))
    told: dict[str, Any] = {}
    waited_s, words = 0.0, ""
    while True:
        status = execution.last_status() or None
        if status is None:
            if cluster is not None and waited_s >= ASK_CLUSTER_AFTER_S:
                words = _tell_once(tell, waiting_for(cluster, execution.id), words)
        else:
            _tell(tell, status, told)
            if status.get("state") in FINAL_STATES:
                return _ending(execution, status, tell)
        sleep(EVERY_S)
        waited_s += EVERY_S


def waiting_for(cluster: Cluster, execution: str) -> str:
    """Why an execution's driver has said nothing yet; "" where nothing is wrong."""
    from tlbatch.cluster.events import job_events

    try:
        job = cluster.get(JOBS, execution)
        if job is None:
            return f"its Job is gone: `tlbatch resume {execution}` starts it again"
        pods, _ = cluster.list(PODS, f"{JOB_NAME}={execution}")
        return explain_job(job, pods, [] if pods else job_events(cluster, job))
    except TransientError as error:
        return str(error)


def _tell_once(tell: Callable[[str], None], words: str, before: str) -> str:
    if words and words != before:
        tell(f"the driver does not run yet: {words}")
    return words


def _tell(tell: Callable[[str], None], status: dict[str, Any], told: dict[str, Any]) -> None:
    for name, task in status.get("tasks", {}).items():
        place = task.get("place") or {}
        said = (state_of(task), task.get("sentence") or "", place.get("waits") or "")
        if told.get(name) != said and said[0] not in ("pending",):
            words = " — ".join(part for part in said[1:] if part)
            tell(f"{name:<36}  {said[0]:<8}  {words}".rstrip())
        told[name] = said


def _ending(execution: Execution, status: dict[str, Any], tell: Callable[[str], None]) -> int:
    from tlbatch.reports.listing import load_report, report_place

    state = status["state"]
    if state == "succeeded":
        report = load_report(execution)
        if report is not None:
            from tlbatch.display.progress import show_report

            show_report(report)
            click.echo(f"\nReport: {report_place(execution)}")
        return 0
    tell(f"{execution.id}: {state}" + (f": {status['sentence']}" if status.get("sentence") else ""))
    return FAILED_CODE
