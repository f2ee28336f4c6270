"""A prediction's Job: indexes that share the parts, hardened as steps are. No driver stands over it. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

from tlbatch.errors import BACKOFF_LIMIT
from tlbatch.manifests import names
from tlbatch.manifests.jobs import FAILURE_POLICY
from tlbatch.manifests.needs import DRIVER_TTL_S, Needs
from tlbatch.manifests.pods import build_step_template
from tlbatch.manifests.site import Site
from tlbatch.steps import STEPS
from tlbatch.tasks import Task, task_name

COMPONENT = "prediction"
OUT = f"{names.DOMAIN}/out"
NAME_LENGTH = 20


def out_label(out: str) -> str:
    """Finds the Jobs that write to one place."""
    return hashlib.sha256(out.encode()).hexdigest()[:40]


def build_predict_job(task: Task, site: Site, needs: Needs, shards: int, model: str, user: str = "") -> dict[str, Any]:
    """An Indexed Job of ``shards`` indexes, each with its own row of retries. Named after the task's key and ``shards``.

    An index that fails for good leaves the others going; the Job goes a day after its end unless resources.ttl says else.
    """
    digest = hashlib.sha256(f"{task.key}\0{shards}".encode()).hexdigest()[: names.HASH_LENGTH]
    labels = {
        "app.kubernetes.io/name": "tlbatch",
        names.COMPONENT: COMPONENT,
        "app.kubernetes.io/managed-by": "tlbatch",
        names.STEP: task.step,
        names.KEY: task.key,
        OUT: out_label(str(task.params["out"])),
        **({names.USER: names.label_value(user)} if names.label_value(user) else {}),
    }
    args = ["--task", f"{site.store}/{task_name(task.key)}"]
    command = ["python", "-m", f"jobs.{task.step}"]
    spec: dict[str, Any] = {
        "completionMode": "Indexed",
        "completions": shards,
        "parallelism": shards,
        "backoffLimitPerIndex": BACKOFF_LIMIT,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": FAILURE_POLICY,
        "ttlSecondsAfterFinished": needs.ttl_s or DRIVER_TTL_S,
        "template": build_step_template(site, needs, site.image(STEPS[task.step].image), command, args, labels, shards=shards),
    }
    if needs.give_up_after_s:
        spec["activeDeadlineSeconds"] = needs.give_up_after_s
    queue = {names.QUEUE: needs.queue} if needs.queue else {}
    metadata: dict[str, Any] = {
        "name": f"predict-{names.dns_label(model, NAME_LENGTH)}-{digest}",
        "namespace": site.namespace,
        "labels": {**needs.labels, **labels, **queue},
    }
    if needs.annotations:
        metadata["annotations"] = dict(needs.annotations)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
