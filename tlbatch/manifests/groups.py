"""Pods that train one network together: who they are to one another, and the headless Service by which they find rank 0. Pure.

The environment is torchrun's (jobs.ranks reads it): one process a GPU, on CPUs one a pod.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlbatch.errors import BACKOFF_LIMIT
from tlbatch.manifests.needs import Needs

PORT = 29500
INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
JOB_NAME = "batch.kubernetes.io/job-name"


def processes(needs: Needs) -> int:
    """Of one pod."""
    return max(1, needs.gpu)


def is_group(needs: Needs) -> bool:
    return needs.together and needs.nodes * processes(needs) > 1


def group_environment(needs: Needs, job: str) -> list[dict[str, Any]]:
    """torchrun's variables; without RANK where a pod has several processes, which it then starts itself."""
    index: dict[str, Any] = {"valueFrom": {"fieldRef": {"fieldPath": INDEX}}} if needs.nodes > 1 else {"value": "0"}
    values = {"WORLD_SIZE": str(needs.nodes * processes(needs)), "LOCAL_WORLD_SIZE": str(processes(needs))}
    if needs.nodes > 1:
        values |= {"MASTER_ADDR": f"{job}-0.{service_name(job)}", "MASTER_PORT": str(PORT)}
    given: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in values.items()]
    given.append({"name": "GROUP_RANK", **index})
    if processes(needs) == 1:
        given += [{"name": "RANK", **index}, {"name": "LOCAL_RANK", "value": "0"}]
    return given


def group_spec(needs: Needs) -> dict[str, Any]:
    """Of the Indexed Job: all pods at once, and done when rank 0 is, which commits.

    Who loses another ends with 75 and starts again, so that one lost pod costs every index a try: an index has as many as all
    pods together would.
    """
    return {
        "completionMode": "Indexed",
        "completions": needs.nodes,
        "parallelism": needs.nodes,
        "backoffLimitPerIndex": BACKOFF_LIMIT * needs.nodes,
        "maxFailedIndexes": 0,
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]},
    }


def service_name(job: str) -> str:
    """A Service's name begins with a letter; a Job's may begin with a digit."""
    return f"group-{job}"


def build_group_service(job: Mapping[str, Any]) -> dict[str, Any] | None:
    """Of a Job as the server has it, whose pods look for one another; None for others. It goes with its Job.

    Pods are found before they are ready, which they are only for one another.
    """
    name = job["spec"].get("template", {}).get("spec", {}).get("subdomain")
    if not name:
        return None
    metadata = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata.get("uid", "")}
    labels = {key: value for key, value in metadata.get("labels", {}).items() if not key.startswith("kueue.x-k8s.io/")}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [{**owner, "controller": False, "blockOwnerDeletion": False}],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {JOB_NAME: metadata["name"]},
            "ports": [{"name": "rank-0", "port": PORT}],
        },
    }
