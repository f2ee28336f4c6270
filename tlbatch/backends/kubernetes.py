"""Tasks as Jobs. Which exist is read from the cluster, so a driver that starts anew finds what the one before it started."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tlbatch.backends.protocol import Ended
from tlbatch.cluster.clearing import Clearing
from tlbatch.cluster.client import JOB_NAME, JOBS, PODS, SERVICES, Cluster, Document
from tlbatch.cluster.diagnosis import (
    PodExit,
    cannot_start,
    deciding,
    explain_job,
    explain_pod,
    job_ended,
    newest_pods,
    out_of_memory,
    pod_exit,
    restarts,
)
from tlbatch.cluster.errors import AlreadyThereError
from tlbatch.cluster.events import job_events
from tlbatch.cluster.watching import Watched, slim_job, slim_pod
from tlbatch.errors import DeadlineError, StudyError, TlbatchError
from tlbatch.manifests import DriverIdentity, Needs, Site, build_group_service, build_task_job, names
from tlbatch.planning import Node
from tlbatch.store import Store
from tlbatch.store.artifacts import load_manifest
from tlbatch.tasks import Task

OUTLIVE_S = 10.0
"""How long a Job stays after its end was told: by then the driver has recorded it."""
EVENTS_AFTER_S, EVENTS_EVERY_S = 4.0, 30.0
STOP_WAIT_S = 20.0
START_WITHIN_S = 1800.0
"""How long a pod may stand without its image or Secret: long enough for a registry to come back, not for ever."""
LAST_LINES = 200
RUNS_ON = "so that it runs on until it ends by itself or the driver's Job goes"
COME_BACK_LATER, ASKED_TO_STOP = 75, 143


@dataclass
class _Child:
    """A task's Job that this driver follows. ``pods``: all it had (evicted ones vanish); ``seen``: whose end was looked at."""

    task: Task
    node: Node
    job: str
    since: float
    seen: set[str] = field(default_factory=set)
    pods: set[str] = field(default_factory=set)
    events: list[Document] = field(default_factory=list)
    asked: float = 0.0
    stuck: float | None = None  # since when its pod cannot start


@dataclass
class KubernetesBackend:
    """A Job per task, one watch for all Jobs and one for all pods of the execution. Retries are the Jobs' own.

    ``owner``: the driver's Job; None where who asks follows the tasks itself, and each is started under one name alone.
    ``connect`` is called when the first task has to run: an execution whose artifacts are all there asks the cluster nothing.
    """

    store: Store
    connect: Callable[[], Cluster]
    site: Site
    needs: Callable[[Node], Needs]
    execution: str
    study: str
    owner: DriverIdentity | None
    limit: int
    start_within_s: float = START_WITHIN_S
    name: str = "kubernetes"
    clock: Callable[[], float] = time.time
    _children: dict[str, _Child] = field(default_factory=dict)
    _over: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._changed = threading.Event()

    @cached_property
    def cluster(self) -> Cluster:
        return self.connect()

    @cached_property
    def _clearing(self) -> Clearing:
        return Clearing(self.cluster)

    @cached_property
    def _jobs(self) -> Watched:
        return Watched(self.cluster, JOBS, self._labels, self._changed.set, slim_job).start()

    @cached_property
    def _pods(self) -> Watched:
        return Watched(self.cluster, PODS, self._labels, self._changed.set, slim_pod).start()

    @property
    def _labels(self) -> str:
        return f"{names.EXECUTION}={self.execution},{names.COMPONENT}=step"

    @property
    def requests(self) -> int:
        """How many requests the API server got."""
        return self.cluster.requests if "cluster" in self.__dict__ else 0

    # -- the protocol -------------------------------------------------------------------------------------------------

    def has_room(self, node: Node) -> bool:
        live = [job for job in self._jobs.objects() if not job_ended(job) and self._ours(job)]
        return len(live) < self.limit or any(_task_of(job) == node.name for job in live)

    def start(self, task: Task, node: Node) -> None:
        if task.key not in self._children:
            job = self._present(task)
            if job is None:
                job = self._create(task, node)
            elif task.limits.get("nodes", 1) > 1:  # the driver before may have died between the two
                self._introduce(self.cluster.get(JOBS, job["metadata"]["name"]) or job)
            self._children[task.key] = _Child(task, node, job["metadata"]["name"], self.clock())

    def ended(self, timeout_s: float) -> list[Ended]:
        if not self._children:
            return []
        self._changed.wait(timeout_s)
        self._changed.clear()
        self._jobs.check()
        self._pods.check()
        ended = [end for child in list(self._children.values()) if (end := self._end_of(child)) is not None]
        for end in ended:
            self._over[self._children.pop(end.key).job] = self.clock()
        self._clean(OUTLIVE_S)
        return ended

    def stop(self, grace_s: float) -> list[Ended]:
        """Delete all Jobs; waits for their pods no longer than the driver's own end allows."""
        self._clearing.delete(JOBS, lambda: [job["metadata"]["name"] for job in self._jobs.objects()], RUNS_ON)
        ended = [Ended(key, ASKED_TO_STOP) for key in self._children]
        deadline = self.clock() + min(grace_s, STOP_WAIT_S)
        while self.clock() < deadline and any(pod_exit(pod) is None for pod in self._pods.objects()):
            self._changed.wait(1.0)
            self._changed.clear()
        self._children.clear()
        self._over.clear()
        return ended

    def close(self) -> None:
        """Delete the Jobs whose ends were told; those that run stay: they are the next driver's, or go with the owner.

        Without an owner nobody would follow them: they go, too.
        """
        self._clean(0.0)
        if self.owner is None and self._children:
            self._clearing.delete(JOBS, lambda: [child.job for child in self._children.values()], RUNS_ON)
        for watched in (self.__dict__.get("_jobs"), self.__dict__.get("_pods")):
            if watched is not None:
                watched.close()

    def sweep(self) -> None:
        """When all is recorded: delete the Jobs that have ended, those that an earlier driver followed too."""
        self._clearing.delete(JOBS, lambda: [job["metadata"]["name"] for job in self._jobs.objects() if job_ended(job)])

    def places(self) -> Mapping[str, dict[str, Any]]:
        """Task name -> where it runs: pod, node, image by digest, restarts, and a sentence where it waits for something."""
        return {child.node.name: self._place(child) for child in self._children.values()}

    # -- Jobs ---------------------------------------------------------------------------------------------------------

    def _ours(self, job: Document) -> bool:
        """Whether a Job counts: not on its way out, not told of before, and not that of an earlier submission."""
        metadata = job["metadata"]
        owners = [owner.get("uid") for owner in metadata.get("ownerReferences", [])]
        owned = self.owner is None or self.owner.uid in owners
        return "deletionTimestamp" not in metadata and owned and metadata["name"] not in self._over

    def _present(self, task: Task) -> Document | None:
        return max(filter(self._ours, self._jobs_of(task)), key=_attempt_of, default=None)

    def _jobs_of(self, task: Task) -> list[Document]:
        return [job for job in self._jobs.objects() if job["metadata"]["labels"].get(names.KEY) == task.key]

    def _create(self, task: Task, node: Node) -> Document:
        attempt = max(map(_attempt_of, self._jobs_of(task)), default=0) + 1
        while True:
            needs = self.needs(node)
            job = build_task_job(task, self.site, needs, self.execution, self.study, self.owner, attempt)
            try:
                created = self.cluster.create(JOBS, job)
            except AlreadyThereError:  # a twin's, or our own request that was answered too late: same name, same work
                present = self.cluster.get(JOBS, job["metadata"]["name"])
                if present is None:
                    continue
                if not self._ours(present):
                    attempt += 1
                    continue
                created = present
            self._jobs.put(created)
            self._introduce(created)
            return created

    def _introduce(self, job: Document) -> None:
        """Make the Service by which the pods of a training find one another. It goes with its Job."""
        service = build_group_service(job)
        if service is not None:
            with suppress(AlreadyThereError):
                self.cluster.create(SERVICES, service)

    def _clean(self, older_s: float) -> None:
        """Delete Jobs that are over. One that cannot be deleted stays over, and is left to ``sweep``."""
        due = [job for job, when in self._over.items() if self.clock() - when >= older_s]
        gone = self._clearing.delete(JOBS, lambda: due)
        for job in due:
            if job in gone:
                del self._over[job]
            else:
                self._over[job] = math.inf

    def _give_up(self, child: _Child) -> None:
        """Delete a Job that would go on in vain. Its task has ended here whether or not that works."""
        self._clearing.delete(JOBS, lambda: [child.job], RUNS_ON)

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _end_of(self, child: _Child) -> Ended | None:
        job = self._jobs.get(child.job)
        if job is None or "deletionTimestamp" in job["metadata"]:
            return Ended(child.task.key, ASKED_TO_STOP, sentence=f"its Job {child.job} was deleted")
        how = job_ended(job)
        if how == "Complete":
            return Ended(child.task.key, 0)
        if how == "Failed":
            return self._failure(child, job)
        return self._ended_early(child)

    def _failure(self, child: _Child, job: Document) -> Ended:
        """The Job gave up. Its pods are asked for anew: the watch of pods may be behind that of Jobs."""
        pods, _ = self.cluster.list(PODS, f"{JOB_NAME}={child.job}")
        failed = next(each for each in job["status"]["conditions"] if each["type"] == "Failed")
        ends = sorted((end for pod in pods if (end := pod_exit(pod)) is not None and end.code), key=lambda end: end.finished)
        code = deciding(ends).code if ends else 1
        if failed.get("reason") == "DeadlineExceeded":
            code = DeadlineError.exit_code
        events = [] if pods else self._events(child)
        return Ended(child.task.key, code, self._printed(ends), final=True, sentence=explain_job(job, pods, events))

    def _printed(self, ends: list[PodExit]) -> str:
        """The end of what the last pod printed: it may have died before it could store its log."""
        try:
            return self.cluster.logs(deciding(ends).pod, tail=LAST_LINES) if ends else ""
        except TlbatchError:  # gone with its node, or not started at all
            return ""

    def _ended_early(self, child: _Child) -> Ended | None:
        """Ends that the Job would go on from, in vain: memory at the same limit again, an input that is gone."""
        pods = self._pods_of(child)
        child.pods |= {pod["metadata"]["name"] for pod in pods}
        if self._stands(child, pods):
            self._give_up(child)
            waited = f"given up after {self.start_within_s / 60:.0f} min"
            return Ended(child.task.key, StudyError.exit_code, final=True, sentence=f"{explain_pod(pods[-1])}; {waited}")
        ends = [end for pod in pods if (end := pod_exit(pod)) is not None]
        new = [end for end in ends if end.pod not in child.seen]
        if not new:
            return None
        child.seen |= {end.pod for end in new}
        killed = out_of_memory(ends, self._saved(child)) if any(end.oom for end in new) else None
        if killed is not None:
            self._give_up(child)
            sentence = f"{killed.explain()} (twice, with no checkpoint between)"
            return Ended(child.task.key, killed.code or 137, final=True, sentence=sentence)
        return self._input_gone(child, new)

    def _stands(self, child: _Child, pods: list[Document]) -> bool:
        """Whether its newest pod has had no image or Secret for too long."""
        if not pods or not cannot_start(pods[-1]):
            child.stuck = None
            return False
        child.stuck = child.stuck or self.clock()
        return self.clock() - child.stuck > self.start_within_s

    def _input_gone(self, child: _Child, new: list[PodExit]) -> Ended | None:
        if all(end.code != COME_BACK_LATER for end in new):
            return None
        refs = child.task.inputs.values()
        if all(load_manifest(self.store, ref.step, ref.key) is not None for ref in refs):
            return None
        self._give_up(child)
        return Ended(child.task.key, COME_BACK_LATER, sentence=new[-1].explain())

    def _saved(self, child: _Child) -> str:
        """When the newest checkpoint was stored."""
        prefix = f"work/{child.task.key}/checkpoints/"
        times = [stat.modified for stat in self.store.list(prefix) if stat.name.endswith("/done.json")]
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(max(times))) if times else ""

    # -- what it waits for --------------------------------------------------------------------------------------------

    def _pods_of(self, child: _Child) -> list[Document]:
        """Oldest first."""
        pods = [pod for pod in self._pods.objects() if pod["metadata"]["labels"].get(JOB_NAME) == child.job]
        return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))

    def _place(self, child: _Child) -> dict[str, Any]:
        pods = self._pods_of(child)
        job = self._jobs.get(child.job)
        waits = explain_job(job, pods, [] if pods else self._events(child)) if job is not None else ""
        wanted = int(job["spec"].get("completions") or 1) if job is not None else 1
        place: dict[str, Any] = {"job": child.job, "restarts": max(len(child.pods) - wanted, restarts(pods))}
        if pods:
            status = pods[-1].get("status", {})
            images = [each.get("imageID") for each in status.get("containerStatuses") or [] if each.get("imageID")]
            place |= {"pod": pods[-1]["metadata"]["name"], "node": nodes_of(pods), "phase": phase_of(pods)}
            place |= {"image": images[0]} if images else {}
        return place | ({"waits": waits} if waits else {})

    def _events(self, child: _Child) -> list[Document]:
        """Of a Job that has no pod for a while: asked for seldom, and kept."""
        now = self.clock()
        if now - child.since >= EVENTS_AFTER_S and now - child.asked >= EVENTS_EVERY_S:
            child.asked = now
            child.events = job_events(self.cluster, self._jobs.get(child.job) or {"metadata": {"name": child.job}})
        return child.events


def nodes_of(pods: list[Document]) -> str | None:
    """Where a task runs: of several indexes, all their nodes, each once. None: nowhere yet."""
    found = [pod["spec"].get("nodeName") for pod in newest_pods(pods)]
    return ", ".join(dict.fromkeys(name for name in found if name)) or None


def phase_of(pods: list[Document]) -> str | None:
    """Of several indexes, that of one which does not run yet, where there is one."""
    phases: list[str | None] = [pod.get("status", {}).get("phase") for pod in newest_pods(pods)]
    return next((phase for phase in phases if phase == "Pending"), phases[-1])


def _attempt_of(job: Document) -> int:
    return int(job["metadata"].get("annotations", {}).get(names.ATTEMPT, 1))


def _task_of(job: Document) -> str:
    return str(job["metadata"].get("annotations", {}).get(names.TASK, ""))
