"""Schedules applied, suspended, resumed, triggered, deleted: the store first, then the CronJob where there is a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tlbatch.cluster.claims import check_claim
from tlbatch.cluster.client import CRONJOBS, JOBS, Cluster
from tlbatch.cluster.submission import check_visible, user_name
from tlbatch.errors import StudyError, TlbatchError
from tlbatch.manifests import Cron, Site, build_cron_job, build_triggered_job, driver_needs
from tlbatch.manifests.names import SCHEDULE
from tlbatch.manifests.pods import unescaped
from tlbatch.records.executions import new_execution_id
from tlbatch.schedules.schedule import (
    CLUSTER,
    HERE,
    StoredSchedule,
    applied,
    change_schedule,
    live_lease,
    load_schedule,
    place,
    schedule_of,
    study_text,
    with_period,
)
from tlbatch.spec import LoadedStudy
from tlbatch.store import Store
from tlbatch.store.housekeeping import tidy
from tlbatch.store.layout import check_format

Clock = Callable[[], float]


def build_request(loaded: LoadedStudy, site: Site, user: str = "", suspended: bool = False) -> dict[str, Any]:
    """The CronJob of a study. Raises StudyError for what pods could not see, and without a schedule."""
    schedule = schedule_of(loaded)
    check_visible(loaded.study)
    cron = Cron(loaded.study.name, schedule, user, suspended)
    return build_cron_job(cron, site, driver_needs(loaded.study, site.resources()))


def apply_here(loaded: LoadedStudy, store: Store, clock: Clock = time.time) -> StoredSchedule:
    """A schedule that no cluster fires. Raises StudyError where one of this name is on a cluster."""
    schedule_of(loaded)
    check_format(store)

    def change(before: StoredSchedule | None) -> StoredSchedule:
        if before is not None and before.where == CLUSTER:
            raise StudyError(
                f"{before.name} is on a cluster, whose CronJob would go on: `tlbatch schedule delete {before.name}` first"
            )
        return applied(before, loaded, study_text(loaded), HERE, user_name(), clock())

    return change_schedule(store, loaded.study.name, change, anew=True)[1]


def apply(loaded: LoadedStudy, store: Store, site: Site, cluster: Cluster, clock: Clock = time.time) -> StoredSchedule:
    """Put the study, apply the CronJob. Where the cluster refuses, the store has again what it had."""
    name, by = loaded.study.name, user_name()
    request = build_request(loaded, site, by)
    _check_own(request, cluster.get(CRONJOBS, name))
    check_claim(cluster, site.cache)
    check_format(store)

    def change(before: StoredSchedule | None) -> StoredSchedule:
        stored = applied(before, loaded, study_text(loaded), CLUSTER, by, clock())
        return replace(stored, site={"namespace": site.namespace})

    before, after = change_schedule(store, name, change, anew=True)
    try:
        cluster.apply(CRONJOBS, build_request(loaded, site, by, after.suspended))
    except TlbatchError:
        if before is None:
            otherwise = f"so that the store still lists it (`tlbatch schedule delete {name}` takes it out)"
            tidy(store, lambda: [place(name, "schedule.json")], otherwise)
        else:
            store.put(place(name, "schedule.json"), before.to_json())
        raise
    return after


def _check_own(request: dict[str, Any], present: dict[str, Any] | None) -> None:
    """Raises StudyError for a CronJob of this name that is somebody else's, or that another store's schedule has."""
    if present is None:
        return
    name, namespace = request["metadata"]["name"], request["metadata"]["namespace"]
    if present["metadata"].get("labels", {}).get(SCHEDULE) != name:
        raise StudyError(f"namespace {namespace} has a CronJob {name} that is no schedule of tlbatch: rename the study")
    stores = [
        unescaped(each["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"][-1])
        for each in (present, request)
    ]
    if stores[0] != stores[1]:
        raise StudyError(
            f"{name} is scheduled in namespace {namespace} with store {stores[0]}: "
            f"`tlbatch schedule delete {name} --store {stores[0]}` first, or rename the study"
        )


def suspend(store: Store, name: str, cluster: Cluster | None, *, suspended: bool, clock: Clock = time.time) -> StoredSchedule:
    """Stop firing, or (``suspended`` false) go on. Raises StudyError where the study itself says ``suspend: true``."""
    schedule = schedule_of(load_schedule(store, name).loaded)
    if schedule.suspend and not suspended:
        raise StudyError(f"{name}: its study says schedule.suspend: true; take that out and `tlbatch schedule apply` it again")

    def change(before: StoredSchedule | None) -> StoredSchedule:
        stored = before if before is not None else load_schedule(store, name)
        return with_period(replace(stored, suspended=suspended, changed=clock()), schedule, clock())

    _, after = change_schedule(store, name, change)
    if cluster is not None and cluster.patch(CRONJOBS, name, {"spec": {"suspend": suspended}}) is None:
        raise _no_cron_job(name, cluster)
    return after


def delete(store: Store, name: str, cluster: Cluster | None, *, purge: bool = False, clock: Clock = time.time) -> bool:
    """End a schedule; its records, pins and champion stay unless ``purge`` takes the first two. False: no CronJob was there.

    Raises StudyError while a firing runs: deleting the CronJob would end it.
    """
    load_schedule(store, name)
    holder = live_lease(store, name, clock())
    if holder is not None:
        raise StudyError(f"{holder.holder} runs: wait for its end, or `tlbatch cancel {holder.holder}` first")
    was_there = cluster.delete(CRONJOBS, name) if cluster is not None else False
    store.delete([place(name, "schedule.json")])
    if purge:
        store.delete([stat.name for stat in store.list(place(name, ""))])
    return was_there


def trigger(name: str, cluster: Cluster, user: str = "") -> str:
    """Fire once now: a Job from the CronJob's template. Returns the execution's id."""
    cron_job = cluster.get(CRONJOBS, name)
    if cron_job is None:
        raise _no_cron_job(name, cluster)
    execution = new_execution_id(name)
    cluster.create(JOBS, build_triggered_job(cron_job, execution, user))
    return execution


def _no_cron_job(name: str, cluster: Cluster) -> StudyError:
    return StudyError(f"no CronJob {name} in namespace {cluster.namespace}: `tlbatch schedule apply STUDY` makes it again")
