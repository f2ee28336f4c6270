"""A study on its way to a cluster: checked here, its text put into the store, one Job sent."""

from __future__ import annotations

import getpass
import os
import time
from dataclasses import dataclass
from typing import Any

from tlbatch import __version__
from tlbatch.cluster.claims import check_claim
from tlbatch.cluster.client import JOBS, Cluster
from tlbatch.cluster.diagnosis import job_ended
from tlbatch.cluster.errors import AlreadyThereError
from tlbatch.errors import StudyError
from tlbatch.manifests import Site, Submission, build_driver_job, driver_needs
from tlbatch.manifests.site import CacheVolume
from tlbatch.profiles import Profile
from tlbatch.records.executions import FINAL_STATES, Execution, load_document, new_execution_id
from tlbatch.schema.writing import dump_yaml
from tlbatch.spec import LoadedStudy, Study
from tlbatch.spec.load import is_file_like, parse_study
from tlbatch.store import Store
from tlbatch.store.documents import as_is, read_disposable, sealed
from tlbatch.store.housekeeping import tidy
from tlbatch.store.layout import check_format

SUBMITTED = "submitted.json"
FIRING = "firing.json"  #: of an execution that a schedule began: its pins and its champion are not the study's alone
POLL_S = 0.3
ENDING_S = 30.0
"""A Job counts as ended some seconds after its driver has said how the execution ended: its pod goes first."""


@dataclass(frozen=True)
class Request:
    """All that ``submit`` sends, before it is sent."""

    execution: str
    study_text: str
    job: dict[str, Any]
    scheduled: bool = False
    cache: CacheVolume | None = None


def build_request(loaded: LoadedStudy, site: Site, execution: str | None = None, user: str = "", only: str = "") -> Request:
    """What ``render`` prints and ``submit`` sends. ``only``: the one task that is wanted, with what it needs.

    Raises StudyError for what pods could not see.
    """
    check_visible(loaded.study)
    name = execution or new_execution_id(loaded.study.name)
    needs = driver_needs(loaded.study, site.resources())
    job = build_driver_job(Submission(name, loaded.study.name, user, only), site, needs)
    text = dump_yaml(loaded.document, variables=True)
    return Request(name, text, job, loaded.study.schedule is not None, site.cache)


def submit(request: Request, store: Store, cluster: Cluster) -> Execution:
    """Put the study, create the Job. Where the cluster refuses, the store forgets the study again.

    Raises StudyError where the claim that tasks share as their cache is not there.
    """
    check_format(store)
    check_claim(cluster, request.cache)
    execution = Execution(store, request.execution)
    execution.save_study(request.study_text)
    store.put(execution.name(SUBMITTED), sealed(submitted_by(request.job)))
    try:
        create_driver(cluster, request.job)
    except StudyError:
        left = [execution.name("study.yaml"), execution.name(SUBMITTED)]
        tidy(store, lambda: left, f"so that the store still lists it (`tlbatch rm {execution.id}` forgets it)")
        raise
    return execution


def create_driver(cluster: Cluster, job: dict[str, Any]) -> None:
    """Create the driver's Job; the same one twice is once (our own request may have been answered too late)."""
    try:
        cluster.create(JOBS, job)
    except AlreadyThereError:
        present = cluster.get(JOBS, job["metadata"]["name"])
        if present is None or "deletionTimestamp" in present["metadata"]:
            raise StudyError(f"Job {job['metadata']['name']} is being deleted: try again in a moment") from None


def resume(execution: Execution, profile: Profile, cluster: Cluster, only: str = "") -> None:
    """Start an execution's driver again: what is done is kept, what failed is tried once more (``only``: just that task).

    Raises StudyError for one that was cancelled (that is final), has succeeded, or runs, and for a schedule's firing.
    """
    schedule = load_document(execution.store, execution.name(FIRING))
    if schedule is not None:
        raise StudyError(
            f"{execution.id} is a firing: `tlbatch schedule trigger {schedule['schedule']}` keeps what it has done"
        )
    status = execution.last_status()
    state = status.get("state")
    if execution.cancel_request() is not None or state == "cancelled":
        raise StudyError(f"{execution.id} was cancelled, which is final: `tlbatch submit` again computes only what is missing")
    if state == "succeeded" and not only:
        raise StudyError(f"{execution.id} has succeeded: `tlbatch report {execution.id}` shows it")
    present = _ended_driver(cluster, execution.id, wait_s=ENDING_S if state in FINAL_STATES else 0.0)
    if present is not None and not job_ended(present):
        raise StudyError(f"{execution.id} is running: `tlbatch status {execution.id}` shows where it stands")
    loaded = _stored_study(execution)
    site = profile.site()
    check_claim(cluster, site.cache)
    job = build_driver_job(
        Submission(execution.id, loaded.study.name, user_name(), only), site, driver_needs(loaded.study, site.resources())
    )
    if present is not None:
        cluster.delete(JOBS, execution.id, uid=present["metadata"]["uid"])
    while cluster.get(JOBS, execution.id) is not None:
        time.sleep(POLL_S)
    if status:
        execution.save_status({**status, "state": "running", "tasks": _once_more(status.get("tasks", {}), only)})
    create_driver(cluster, job)


def _ended_driver(cluster: Cluster, execution: str, wait_s: float) -> dict[str, Any] | None:
    """The driver's Job. One that has written its last word is given ``wait_s`` to be counted as ended by the cluster too."""
    end = time.monotonic() + wait_s
    while True:
        present = cluster.get(JOBS, execution)
        if present is None or job_ended(present) or time.monotonic() >= end:
            return present
        time.sleep(POLL_S)


def _once_more(tasks: dict[str, Any], only: str) -> dict[str, Any]:
    """Failed and blocked tasks as pending; what an earlier driver gave up would else stay given up."""
    again = ("failed", "blocked", "stopped")
    reset = {"state": "pending", "sentence": "", "codes": []}
    return {
        name: {**task, **reset} if task.get("state") in again and only in ("", name) else task for name, task in tasks.items()
    }


def _stored_study(execution: Execution) -> LoadedStudy:
    return parse_study(execution.load_study(), f"{execution.id}/study.yaml")


def check_visible(study: Study) -> None:
    """Raises StudyError, with every place at once, for folders and files of this machine: pods cannot see them."""
    wrong = []
    places = {"dataset": study.dataset.url} | {f"sources.{name}": source.url for name, source in study.sources.items()}
    for what, url in places.items():
        if not url.startswith("s3://"):
            wrong.append(
                f"{what}.url: {url} is a folder of this machine, which pods cannot see: "
                f"`tlbatch data put {url} s3://BUCKET/NAME`, then {what}.url: s3://BUCKET/NAME (or --set {what}.url=s3://BUCKET/NAME)"
            )
    asked = [(f"runs[{i}].model", run.model.weights) for i, run in enumerate(study.runs)]
    if study.advise is not None:
        asked = [(f"advise.candidates[{i}]", each.weights) for i, each in enumerate(study.advise.candidates)]
    for place, weights in asked:
        if isinstance(weights, str) and is_file_like(weights) and "://" not in weights and not weights.startswith("store:"):
            name = weights.rpartition("/")[2]
            wrong.append(
                f"{place}.weights: {weights} is a file of this machine, which pods cannot see: "
                f"`tlbatch weights mirror {weights}` puts it into the store, then weights: store:weights/{name}"
            )
    if wrong:
        raise StudyError("\n".join(wrong))


def submitted_by(job: dict[str, Any]) -> dict[str, Any]:
    """``executions/<id>/submitted.json``: who, with which launcher, and as which object."""
    return {"user": user_name(), "launcher": __version__, "backend": "kubernetes", "job": job["metadata"]["name"]}


def submitted_by_me(store: Store, execution: str) -> bool:
    """For ``list --mine``."""
    document = read_disposable(store, Execution(store, execution).name(SUBMITTED), as_is) or {}
    return bool(document.get("user")) and document.get("user") == user_name()


def user_name() -> str:
    """Who is at the keyboard, for ``list --mine``; TLBATCH_USER overrides."""
    try:
        return os.environ.get("TLBATCH_USER") or getpass.getuser()
    except (KeyError, OSError):
        return ""
