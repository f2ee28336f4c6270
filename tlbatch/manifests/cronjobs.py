"""A schedule's CronJob, whose pod is the driver, and the Job that fires it by hand. Pure."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from tlbatch import __version__
from tlbatch.manifests import names
from tlbatch.manifests.jobs import DRIVER_BACKOFF_LIMIT, FAILURE_POLICY
from tlbatch.manifests.needs import Needs
from tlbatch.manifests.pods import build_driver_template
from tlbatch.manifests.site import Site
from tlbatch.spec.resources import Schedule

CRONJOB_LENGTH = 45
"""The controller adds a dash and the scheduled time in minutes; what a driver is called must stay within 52 letters."""
WEBHOOK_VARIABLE = "TLBATCH_WEBHOOK"
"""Where the driver finds the URL; its pod has it from the study's Secret."""
MANUAL = {"cronjob.kubernetes.io/instantiate": "manual"}
"""As ``kubectl create job --from`` marks a Job."""


@dataclass(frozen=True)
class Cron:
    """What ``schedule apply`` sends. ``suspended``: by hand; the study's own ``suspend`` comes on top."""

    name: str
    schedule: Schedule
    user: str = ""
    suspended: bool = False


def build_cron_job(cron: Cron, site: Site, needs: Needs) -> dict[str, Any]:
    """One firing at a time; the study is read from the store when it fires. No TTL: the history limits say what stays."""
    if len(cron.name) > CRONJOB_LENGTH:
        raise ValueError(f"{cron.name}: a CronJob's name has at most {CRONJOB_LENGTH} letters")
    schedule, labels = cron.schedule, _labels(cron)
    args = ["drive", "--schedule", cron.name, "--store", site.store]
    environment = {"TLBATCH_SITE": site.to_json(), "TLBATCH_LAUNCHER": __version__}
    template = build_driver_template(site, needs, args, environment, labels)
    if schedule.webhook is not None:
        url = {"name": schedule.webhook.secret, "key": schedule.webhook.key, "optional": True}
        template["spec"]["containers"][0]["env"].append({"name": WEBHOOK_VARIABLE, "valueFrom": {"secretKeyRef": url}})
    queue = {names.QUEUE: needs.queue} if needs.queue else {}
    job = {
        "backoffLimit": DRIVER_BACKOFF_LIMIT,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": FAILURE_POLICY,
        "template": template,
    }
    spec = {
        "schedule": schedule.cron,
        "timeZone": schedule.timezone,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": schedule.starting_deadline_s,
        "successfulJobsHistoryLimit": schedule.keep_succeeded,
        "failedJobsHistoryLimit": schedule.keep_failed,
        "suspend": schedule.suspend or cron.suspended,
        "jobTemplate": {"metadata": _metadata(needs, {**labels, **queue}), "spec": job},
    }
    metadata = {"name": cron.name, "namespace": site.namespace, **_metadata(needs, labels)}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}


def build_triggered_job(cron_job: dict[str, Any], execution: str, user: str = "") -> dict[str, Any]:
    """A Job like those that the CronJob (as the cluster has it) makes, named like its execution; it goes with the CronJob."""
    template = copy.deepcopy(cron_job["spec"]["jobTemplate"])
    labels = {names.EXECUTION: execution} | ({names.USER: names.label_value(user)} if names.label_value(user) else {})
    given = template.get("metadata") or {}
    metadata = {
        "name": execution,
        "namespace": cron_job["metadata"]["namespace"],
        "labels": {**given.get("labels", {}), **labels},
        "annotations": {**given.get("annotations", {}), **MANUAL},
        "ownerReferences": [
            {
                "apiVersion": "batch/v1",
                "kind": "CronJob",
                "name": cron_job["metadata"]["name"],
                "uid": cron_job["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }
    pod = template["spec"]["template"].setdefault("metadata", {})
    pod["labels"] = {**pod.get("labels", {}), **labels}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}


def _metadata(needs: Needs, labels: dict[str, str]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"labels": {**needs.labels, **labels}}
    return metadata | ({"annotations": dict(needs.annotations)} if needs.annotations else {})


def _labels(cron: Cron) -> dict[str, str]:
    user = names.label_value(cron.user)
    return {
        "app.kubernetes.io/name": "tlbatch",
        names.COMPONENT: "driver",
        "app.kubernetes.io/managed-by": "tlbatch",
        names.STUDY: cron.name,
        names.SCHEDULE: cron.name,
        **({names.USER: user} if user else {}),
    }
