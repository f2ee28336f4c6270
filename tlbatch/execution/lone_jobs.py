"""Tasks of no execution as Jobs of a cluster: no driver stands over them. Who asks starts each, follows it, and ends it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tlbatch.backends.kubernetes import KubernetesBackend
from tlbatch.cluster.cancel import end_pods
from tlbatch.cluster.client import JOBS, Cluster
from tlbatch.execution.driver import Observer
from tlbatch.execution.task_state import TaskState
from tlbatch.manifests import Site, names
from tlbatch.manifests.needs import lone_needs
from tlbatch.records.states import RUNNING
from tlbatch.store import Store

NAME_LENGTH = 20
KEY_SHOWN = 12


def group_name(what: str, name: str, key: str) -> str:
    """``<what>-<name>-<hash>``: what the Jobs of one request have in common. The same request has the same."""
    digest = hashlib.sha256(f"{what}\0{name}\0{key}".encode()).hexdigest()[: names.HASH_LENGTH]
    return f"{what}-{names.dns_label(name, NAME_LENGTH)}-{digest}"


def lone_backend(store: Store, site: Site, cluster: Cluster, group: str, study: str) -> KubernetesBackend:
    """A Job a task. Jobs of the same request that are at work already, whoever started them, are followed."""
    defaults = site.resources()
    return KubernetesBackend(
        store=store,
        connect=lambda: cluster,
        site=site,
        needs=lambda node: lone_needs(node, defaults),
        execution=group,
        study=study,
        owner=None,
        limit=1,
    )


def end_group(cluster: Cluster, group: str) -> int | None:
    """End all Jobs of a request; what is done stays. Returns how many pods were ended, None where there is no such Job."""
    selector = f"{names.EXECUTION}={group},{names.COMPONENT}=step"
    jobs, _ = cluster.list(JOBS, selector)
    for job in jobs:
        cluster.delete(JOBS, job["metadata"]["name"], uid=job["metadata"]["uid"])
    return end_pods(cluster, selector) if jobs else None


@dataclass
class Waits:
    """Tells where a task's log is and what it waits for in the cluster, nothing twice, beside what ``observer`` shows."""

    observer: Observer
    say: Callable[[str], None]
    backend: KubernetesBackend | None = None
    _told: dict[str, str] = field(default_factory=dict)

    def changed(self, work: TaskState) -> None:
        self.observer.changed(work)
        if work.state == RUNNING and work.task is not None:
            self.say(f"  its log: tlbatch logs {work.task.key[:KEY_SHOWN]}")

    def tick(self, works: Iterable[TaskState]) -> None:
        self.observer.tick(works)
        for name, place in (self.backend.places() if self.backend else {}).items():
            words = str(place.get("waits") or "")
            if words and self._told.get(name) != words:
                self.say(f"{name}: {words}")
            self._told[name] = words
