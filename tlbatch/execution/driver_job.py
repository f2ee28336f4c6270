"""The driver as a Job: one at a time holds an execution; it can end at any moment and the next one goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tlbatch import __version__
from tlbatch.backends.kubernetes import KubernetesBackend
from tlbatch.errors import FINAL_CODES, Stopped, StudyError, TlbatchError, TransientError
from tlbatch.execution.driver import Driver, Observer
from tlbatch.execution.launch import publish_report
from tlbatch.interrupts import stop_requests
from tlbatch.manifests import DriverIdentity, Site
from tlbatch.manifests.needs import parallelism, task_needs, with_limits
from tlbatch.peak_memory import peak_memory_mib
from tlbatch.planning import Plan
from tlbatch.planning.resolve import plan_study
from tlbatch.records.executions import Execution
from tlbatch.spec import Study
from tlbatch.spec.load import parse_study
from tlbatch.store.heartbeat import beating
from tlbatch.store.lease import Lease, LeaseInfo, acquire_named

LEASE_S = 30.0
LOOK_AGAIN_S = 1.0
POLL_S = 0.5
BUG = 1


@dataclass(frozen=True)
class Place:
    """What the driver's pod knows of itself, by the downward API."""

    pod: str
    identity: DriverIdentity
    site: Site
    launcher: str

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> Place:
        """Raises StudyError outside a driver's pod."""
        try:
            identity = DriverIdentity(environment["TLBATCH_JOB_NAME"], environment["TLBATCH_JOB_UID"])
            site = Site.from_json(environment["TLBATCH_SITE"])
            return Place(environment["TLBATCH_POD"], identity, site, environment.get("TLBATCH_LAUNCHER", __version__))
        except KeyError as error:
            raise StudyError(
                f"{error.args[0]} is not set: `tlbatch drive` runs in the driver's pod only; `tlbatch submit` starts one"
            ) from error


def drive(execution: Execution, place: Place, observer: Observer, only: str = "") -> int:
    """Walk the execution's plan with Jobs; returns the driver's exit code.

    0: it succeeded, or was cancelled. A failure of the study's own ends with its code; what passes with 75 or 143, after
    which the Job starts the next driver; never with a code that would be tried again when all is over.
    """
    with stop_requests() as stop:
        try:
            with hold(execution, place.pod, stop) as guard:
                return _drive(execution, place, observer, only, stop, guard)
        except (Stopped, TransientError):
            raise
        except TlbatchError as error:
            if execution.cancel_request() is None:
                _give_up(execution, str(error))
            raise


def _drive(
    execution: Execution, place: Place, observer: Observer, only: str, stop: Callable[[], bool], guard: Callable[[], None]
) -> int:
    if execution.cancel_request() is not None:
        return _cancelled(execution)
    check_versions(place)
    loaded = parse_study(execution.load_study(), f"{execution.id}/study.yaml")
    resolved, plan = plan_study(loaded, execution.store)
    print(*resolved.notes, sep="\n", end="\n" if resolved.notes else "", flush=True)
    return exit_code(*walk(execution, place, observer, loaded.study, part(plan, only) if only else plan, stop, guard))


def walk(
    execution: Execution,
    place: Place,
    observer: Observer,
    study: Study,
    plan: Plan,
    stop: Callable[[], bool],
    guard: Callable[[], None],
) -> tuple[str, list[int]]:
    """Walk a plan with Jobs and publish its report; returns the execution's state and the last codes of tasks that failed."""
    if execution.cancel_request() is not None:
        _cancelled(execution)
        return "cancelled", []
    before = execution.last_status()
    plan = with_limits(plan, study, place.site.resources())
    backend = open_backend(execution, place, study)
    driver = Driver(
        plan,
        execution.store,
        backend,
        execution,
        observer,
        stop,
        detach=True,
        guard=guard,
        places=backend.places,
        before=before,
        poll_s=POLL_S,
    )
    driver.finish = lambda: publish_report(execution, driver.works.values())
    try:
        state = driver.run()
    except (Stopped, TransientError):
        if execution.cancel_request() is not None:
            _cancelled(execution)
            return "cancelled", []
        raise
    if backend.requests or before:
        backend.sweep()
    print(f"{backend.requests} API requests for {len(plan.nodes)} tasks, {peak_memory_mib()} MiB at most", file=sys.stderr)
    return state, [work.codes[-1] for work in driver.failures() if work.codes]


def exit_code(state: str, codes: list[int]) -> int:
    """The driver's own: 0, or a code that its Job does not try again."""
    if state in ("succeeded", "cancelled"):
        return 0
    return next((code for code in codes if code in FINAL_CODES), BUG)


def check_versions(place: Place) -> None:
    """Raises StudyError where the image is of another version than the launcher that submitted."""
    if place.launcher != __version__:
        image = place.site.image("launcher")
        raise StudyError(
            f"the image {image} is tlbatch {__version__}, but tlbatch {place.launcher} submitted this: push images of "
            f"{place.launcher} (`make images`), or `pip install tlbatch=={__version__}`, and submit again"
        )


def part(plan: Plan, only: str) -> Plan:
    """The plan's task ``only`` and what it needs. Raises StudyError where there is no such task."""
    if only not in plan.nodes:
        raise StudyError(f"no task {only!r} in this study; there are {', '.join(plan.nodes)}")
    wanted = {only}
    for node in reversed(list(plan)):
        if node.name in wanted:
            wanted |= set(node.needs.values())
    return replace(plan, nodes={name: node for name, node in plan.nodes.items() if name in wanted})


# -- holding an execution ---------------------------------------------------------------------------------------------


@contextmanager
def hold(execution: Execution, holder: str, stop: Callable[[], bool]) -> Iterator[Callable[[], None]]:
    """Hold ``executions/<id>/driver.json``; yields what raises LeaseLostError once another driver has it.

    Waits for a driver before this one to let go. Beats in a thread: planning may take longer than a lease.
    """
    lease = _acquire(execution, holder, stop)
    with beating(lease, LEASE_S / 3, f"{execution.id}: another driver goes on from here") as guard:
        yield guard


def _acquire(execution: Execution, holder: str, stop: Callable[[], bool]) -> Lease:
    said = ""
    while True:
        lease = acquire_named(execution.store, execution.name("driver.json"), holder, LEASE_S)
        if isinstance(lease, Lease):
            return lease
        if stop():
            raise Stopped("asked to stop while waiting for the driver before")
        said = _say_waiting(lease, said)
        time.sleep(LOOK_AGAIN_S)


def _say_waiting(lease: LeaseInfo, said: str) -> str:
    if lease.holder != said:
        print(f"waiting for {lease.holder} to let go", file=sys.stderr, flush=True)
    return lease.holder


# -- inside -----------------------------------------------------------------------------------------------------------


def open_backend(execution: Execution, place: Place, study: Study) -> KubernetesBackend:
    """The backend of this pod's own namespace."""
    from tlbatch.cluster import open_cluster

    defaults = place.site.resources()
    return KubernetesBackend(
        store=execution.store,
        connect=lambda: open_cluster(place.site.namespace),
        site=place.site,
        needs=lambda node: task_needs(study, node, defaults),
        execution=execution.id,
        study=study.name,
        owner=place.identity,
        limit=parallelism(study, defaults),
    )


def _cancelled(execution: Execution) -> int:
    execution.save_status({**(execution.last_status() or {"tasks": {}}), "state": "cancelled"})
    return 0


def _give_up(execution: Execution, sentence: str) -> None:
    """What cannot be planned or driven fails with a sentence in the status."""
    status = execution.last_status() or {"tasks": {}, "backend": "kubernetes"}
    if status.get("state") not in ("succeeded", "cancelled"):
        execution.save_status({**status, "state": "failed", "sentence": sentence})
