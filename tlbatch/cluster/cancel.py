"""Ending an execution for good: first the store is told, then the driver goes, then what it started."""

from __future__ import annotations

from tlbatch.cluster.clearing import Clearing
from tlbatch.cluster.client import JOBS, PODS, Cluster
from tlbatch.manifests.names import EXECUTION
from tlbatch.records.executions import Execution

GRACE_S = 10
WITH_JOB = "so that it ends with its Job, which may take a minute"


def cancel(execution: Execution, cluster: Cluster | None, reason: str = "") -> int:
    """``cancelled`` is final. Returns how many pods were ended; a second call changes nothing (and ends what is left).

    Jobs go before pods: a Job whose pod is deleted makes another.
    """
    execution.request_cancel(reason)
    ended = end_all(execution.id, cluster) if cluster is not None else 0
    if cluster is not None:
        status = execution.last_status() or {"tasks": {}, "backend": "kubernetes"}
        if status.get("state") != "succeeded":
            execution.save_status({**status, "state": "cancelled"})
    return ended


def end_all(execution: str, cluster: Cluster) -> int:
    """Delete the driver's Job, the tasks' Jobs and all their pods with a short grace."""
    cluster.delete(JOBS, execution)
    selector = f"{EXECUTION}={execution}"
    for job in cluster.list(JOBS, selector)[0]:
        cluster.delete(JOBS, job["metadata"]["name"])
    return end_pods(cluster, selector)


def end_pods(cluster: Cluster, selector: str) -> int:
    """Delete the pods that wait or run, with a short grace; returns how many. They go with their Jobs where it may not."""
    pods = [pod for pod in cluster.list(PODS, selector)[0] if pod.get("status", {}).get("phase") in ("Pending", "Running")]
    return len(Clearing(cluster).delete(PODS, lambda: [pod["metadata"]["name"] for pod in pods], WITH_JOB, GRACE_S))
