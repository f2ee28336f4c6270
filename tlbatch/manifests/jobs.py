"""The driver's Job and the tasks' Jobs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tlbatch import __version__
from tlbatch.errors import BACKOFF_LIMIT, FINAL_CODES
from tlbatch.manifests import names
from tlbatch.manifests.groups import group_environment, group_spec, is_group, service_name
from tlbatch.manifests.needs import DRIVER_TTL_S, Needs
from tlbatch.manifests.pods import build_driver_template, build_step_template
from tlbatch.manifests.site import DriverIdentity, Site
from tlbatch.steps import STEPS
from tlbatch.tasks import Task, task_name

DRIVER_BACKOFF_LIMIT = 30
FAILURE_POLICY: dict[str, Any] = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": sorted(FINAL_CODES)}},
    ]
}
"""In this order (design §7): a disruption costs nothing; what trying again cannot fix ends the Job; all else counts."""


@dataclass(frozen=True)
class Submission:
    """What ``submit`` sends. ``only``: the one task that ``resume --task`` asks for."""

    execution: str
    study: str
    user: str = ""
    only: str = ""


def build_driver_job(submission: Submission, site: Site, needs: Needs) -> dict[str, Any]:
    """The one object that ``submit`` creates. Named like the execution; the only Job with a TTL."""
    labels = {
        **_common("driver", submission.execution, submission.study),
        **({names.USER: names.label_value(submission.user)} if names.label_value(submission.user) else {}),
    }
    args = ["drive", submission.execution, "--store", site.store]
    args += ["--task", submission.only] if submission.only else []
    environment = {"TLBATCH_SITE": site.to_json(), "TLBATCH_LAUNCHER": __version__}
    template = build_driver_template(site, needs, args, environment, labels)
    spec = {
        "backoffLimit": DRIVER_BACKOFF_LIMIT,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": FAILURE_POLICY,
        "ttlSecondsAfterFinished": needs.ttl_s,
        "template": template,
    }
    metadata = _metadata(submission.execution, site, needs, labels)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def build_task_job(
    task: Task, site: Site, needs: Needs, execution: str, study: str, owner: DriverIdentity | None, attempt: int = 1
) -> dict[str, Any]:
    """A task's Job, owned by the driver's; one that no driver stands over (None) goes a day after its end by itself.

    Sharded extraction is one Indexed Job: each index is its own row of retries. So is a training by several pods, which are one
    group (tlbatch.manifests.groups).
    """
    labels = {
        **_common("step", execution, study),
        names.STEP: task.step,
        names.TASK: names.label_value(task.name),
        names.KEY: task.key,
    }
    args = ["--task", f"{site.store}/{task_name(task.key)}"]
    spec: dict[str, Any] = {"backoffLimit": BACKOFF_LIMIT}
    shards = needs.shards if needs.shards > 1 else 0
    if shards:
        both = {"completions": shards, "parallelism": shards}
        spec = {"completionMode": "Indexed", **both, "backoffLimitPerIndex": BACKOFF_LIMIT, "maxFailedIndexes": 0}
    name = names.task_job_name(execution, task.name, task.key, attempt)
    environment = group_environment(needs, name) if is_group(needs) else []
    if needs.nodes > 1:
        spec = group_spec(needs)
    spec |= {"podReplacementPolicy": "Failed", "podFailurePolicy": FAILURE_POLICY}
    if needs.give_up_after_s:
        spec["activeDeadlineSeconds"] = needs.give_up_after_s
    command = ["python", "-m", f"jobs.{task.step}"]
    image = site.image(STEPS[task.step].image)
    spec["template"] = build_step_template(site, needs, image, command, args, labels, environment, shards=shards)
    if needs.nodes > 1:
        spec["template"]["spec"]["subdomain"] = service_name(name)
    metadata = _metadata(name, site, needs, labels)
    metadata["annotations"] = {**metadata.get("annotations", {}), names.TASK: task.name, names.ATTEMPT: str(attempt)}
    if owner is None:
        spec["ttlSecondsAfterFinished"] = needs.ttl_s or DRIVER_TTL_S
    else:
        metadata["ownerReferences"] = [owner.reference()]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _metadata(name: str, site: Site, needs: Needs, labels: dict[str, str]) -> dict[str, Any]:
    queue = {names.QUEUE: needs.queue} if needs.queue else {}
    metadata: dict[str, Any] = {"name": name, "namespace": site.namespace, "labels": {**needs.labels, **labels, **queue}}
    if needs.annotations:
        metadata["annotations"] = dict(needs.annotations)
    return metadata


def _common(component: str, execution: str, study: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "tlbatch",
        names.COMPONENT: component,
        "app.kubernetes.io/managed-by": "tlbatch",
        names.EXECUTION: execution,
        names.STUDY: study,
    }
