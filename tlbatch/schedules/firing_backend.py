"""Where a firing's tasks run: as Jobs from the schedule's pod, or as processes of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from tlbatch.backends import Backend
from tlbatch.execution.driver import Driver, Observer
from tlbatch.execution.driver_job import Place, check_versions, exit_code, hold, walk
from tlbatch.execution.launch import publish_report
from tlbatch.interrupts import stop_requests
from tlbatch.manifests.cronjobs import WEBHOOK_VARIABLE
from tlbatch.manifests.needs import with_limits
from tlbatch.planning import Plan
from tlbatch.records.executions import Execution, new_execution_id
from tlbatch.schedules.firing import Firing, Guard, fire
from tlbatch.schedules.firings import CRON, FAILED, HAND, FiringRecord
from tlbatch.spec import LoadedStudy
from tlbatch.store import Store


def fire_in_pod(name: str, store: Store, place: Place, observer: Observer) -> int:
    """The schedule's pod: the Job's name is the execution's id. Returns the driver's exit code, as ``incluster.drive`` does."""
    codes: list[int] = []
    with stop_requests() as stop:

        def walk_jobs(execution: Execution, loaded: LoadedStudy, plan: Plan, guard: Guard) -> str:
            with hold(execution, place.pod, stop) as own_guard:
                both = _both(guard, own_guard)
                state, ended = walk(execution, place, observer, loaded.study, plan, stop, both)
            codes.extend(ended)
            return state

        trigger, scheduled = fired_by(name, place.identity.name)
        firing = Firing(
            name, place.identity.name, trigger, walk_jobs, scheduled, prepare=lambda: check_versions(place), hook=_hook()
        )
        record = fire(firing, store)
    return exit_code("failed", codes) if record.state == FAILED else 0


def fire_here(name: str, store: Store, backend: Backend, observer: Observer, say: Callable[[str], None]) -> FiringRecord:
    """One firing on this machine. Raises Stopped on SIGINT and SIGTERM, after the tasks saved their state."""
    with stop_requests(quick=True) as stop:

        def walk_processes(execution: Execution, loaded: LoadedStudy, plan: Plan, guard: Guard) -> str:
            driver = Driver(with_limits(plan, loaded.study), store, backend, execution, observer, stop, guard=guard)
            driver.finish = lambda: publish_report(execution, driver.works.values())
            return driver.run()

        firing = Firing(name, new_execution_id(name), HAND, walk_processes, here=True, hook=_hook(), say=say)
        return fire(firing, store)


def failed_code(store: Store, record: FiringRecord) -> int:
    """The code of the first task that failed, as ``tlbatch run`` ends with it."""
    tasks = Execution(store, record.execution).last_status().get("tasks", {})
    codes = [task["codes"][-1] for task in tasks.values() if task.get("state") == "failed" and task.get("codes")]
    return int(codes[0]) if codes else 1


def fired_by(name: str, job: str) -> tuple[str, float | None]:
    """CRON and the scheduled time (Unix, s), which the CronJob's controller puts into its Jobs' names in minutes; else HAND."""
    match = re.fullmatch(rf"{re.escape(name)}-(\d{{7,9}})", job)
    return (CRON, int(match[1]) * 60.0) if match else (HAND, None)


def _both(one: Guard, other: Guard) -> Guard:
    def guard() -> None:
        one()
        other()

    return guard


def _hook() -> str:
    return os.environ.get(WEBHOOK_VARIABLE, "").strip()
