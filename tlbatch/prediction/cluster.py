"""A prediction on a cluster: one Indexed Job, followed from its parts in OUT."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tlbatch.cluster.cancel import end_pods
from tlbatch.cluster.client import JOB_NAME, JOBS, PODS, Cluster, Document
from tlbatch.cluster.diagnosis import explain_job, job_ended, pod_exit
from tlbatch.cluster.errors import AlreadyThereError
from tlbatch.errors import StudyError, TlbatchError
from tlbatch.manifests import Site, names
from tlbatch.manifests.needs import predict_needs
from tlbatch.manifests.predictions import COMPONENT, OUT, build_predict_job
from tlbatch.prediction.request import Prediction, done_parts

EVERY_S = 2.0
POLL_S = 0.3
FAILED_CODE = 1


def check_visible(prediction: Prediction) -> None:
    """Raises StudyError, with every place at once, for what pods could not see: folders and weights of this machine."""
    wrong = []
    for what, url, way in (
        ("SRC", prediction.source, f"`tlbatch data put {prediction.source} s3://BUCKET/NAME` copies it"),
        ("OUT", prediction.out.url, "name s3://BUCKET/PREFIX; `tlbatch predict` without --cluster writes to a folder"),
        ("the model's store", prediction.model.store.url, "name a model of a store in S3"),
    ):
        if not url.startswith("s3://"):
            wrong.append(f"{what}: {url} is a folder of this machine, which pods cannot see: {way}")
    weights = prediction.model.weights
    if weights and "://" not in weights and not weights.startswith("store:"):
        wrong.append(f"the model's backbone has its weights from {weights}, a file of this machine, which pods cannot see")
    if wrong:
        raise StudyError("\n".join(wrong))


def build_job(prediction: Prediction, site: Site, shards: int, given: dict[str, Any], user: str) -> Document:
    """What is sent: no more indexes than parts. ``site`` names the store that the model is in."""
    wanted = min(shards, len(prediction.parts))
    model = str(prediction.model.identity.get("champion") or prediction.model.identity.get("run") or "model")
    return build_predict_job(prediction.task, site, predict_needs(site.resources(), given), wanted, model, user)


def check_alone(cluster: Cluster, job: Document, *, overwrite: bool) -> None:
    """Raises StudyError where another Job writes to the same place (with ``overwrite``: where any does)."""
    others, _ = cluster.list(JOBS, f"{OUT}={job['metadata']['labels'][OUT]}")
    for other in (each["metadata"]["name"] for each in others if _at_work(each)):
        if overwrite or other != job["metadata"]["name"]:
            raise StudyError(f"Job {other} writes to the same place: wait for it, or `tlbatch cancel {other}`")


def _at_work(job: Document) -> bool:
    return not job_ended(job) and "deletionTimestamp" not in job["metadata"]


def start(cluster: Cluster, job: Document) -> bool:
    """Create the Job, or find it at work; False where it was there. One that has ended makes room for the next try."""
    name = job["metadata"]["name"]
    present = cluster.get(JOBS, name)
    if present is not None and _at_work(present):
        return False
    if present is not None:
        cluster.delete(JOBS, name, uid=present["metadata"]["uid"])
        while cluster.get(JOBS, name) is not None:
            time.sleep(POLL_S)
    try:
        cluster.create(JOBS, job)
    except AlreadyThereError:  # our own request that was answered too late, or a twin's: same name, same work
        return False
    return True


def cancel_prediction(cluster: Cluster, name: str) -> int | None:
    """End a prediction's Job; what is done stays. Returns how many pods were ended, None where there is no such Job."""
    job = cluster.get(JOBS, name)
    if job is None or job["metadata"].get("labels", {}).get(names.COMPONENT) != COMPONENT:
        return None
    cluster.delete(JOBS, name, uid=job["metadata"]["uid"])
    return end_pods(cluster, f"{JOB_NAME}={name}")


@dataclass
class Told:
    """What was said last: nothing is said twice."""

    say: Callable[[str], None]
    last: str = ""

    def tell(self, text: str) -> None:
        if text and text != self.last:
            self.say(text)
            self.last = text


def follow(
    prediction: Prediction,
    cluster: Cluster,
    name: str,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Tell how many parts are done until the Job ends. Raises what it failed with, with its exit code."""
    progress, trouble, total = Told(say), Told(say), len(prediction.parts)
    while True:
        job = cluster.get(JOBS, name)
        if job is None:
            raise StudyError(f"Job {name} is gone: the same command goes on from the parts that are done")
        pods, _ = cluster.list(PODS, f"{JOB_NAME}={name}")
        progress.tell(f"{len(done_parts(prediction))}/{total} parts done")
        how = job_ended(job)
        if how == "Failed":
            raise _failure(job, pods)
        if how == "Complete":
            return
        trouble.tell(explain_job(job, pods, []))
        sleep(EVERY_S)


def _failure(job: Document, pods: list[Document]) -> TlbatchError:
    ends = sorted((end for pod in pods if (end := pod_exit(pod)) is not None and end.code), key=lambda end: end.finished)
    indexes = job.get("status", {}).get("failedIndexes")
    where = f" (index {indexes} of {job['spec']['completions']})" if indexes else ""
    error = TlbatchError(f"{job['metadata']['name']}{where}: {explain_job(job, pods, [])}; what is done is kept")
    error.exit_code = ends[-1].code if ends else FAILED_CODE
    return error
