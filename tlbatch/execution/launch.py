"""From a loaded study to a walked plan and a published report: what ``tlbatch run`` does between parsing and printing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlbatch.backends import Backend
from tlbatch.execution.driver import Driver, Observer
from tlbatch.execution.side_by_side import mark_alike
from tlbatch.execution.task_state import TaskState
from tlbatch.interrupts import stop_requests
from tlbatch.manifests.needs import with_limits
from tlbatch.planning.resolve import plan_study
from tlbatch.records.executions import Execution, new_execution_id
from tlbatch.reports.listing import load_report, report_place
from tlbatch.schema.writing import dump_yaml
from tlbatch.spec import LoadedStudy
from tlbatch.steps import STEPS
from tlbatch.store import Store
from tlbatch.store.artifacts import Artifact, Manifest, load_manifest
from tlbatch.store.layout import check_format

COPIES_AT_ONCE = 8


@dataclass(frozen=True)
class Outcome:
    """How an execution ended. ``report`` is the report's ``report.json``, ``place`` the path or URL of its page."""

    execution: Execution
    state: str
    works: tuple[TaskState, ...]
    report: dict[str, Any] | None = None
    place: str | None = None

    @property
    def exit_code(self) -> int:
        """0, or the code of the first task that failed."""
        codes = [work.codes[-1] for work in self.works if work.state == "failed" and work.codes]
        return 0 if self.state == "succeeded" else (codes or [1])[0]


def run_study(
    loaded: LoadedStudy,
    store: Store,
    backend: Backend,
    observer: Observer,
    announce: Callable[[Execution], None],
    say: Callable[[str], None] = lambda text: None,
    only: str | None = None,
) -> Outcome:
    """Run what the store does not have yet. Raises Stopped on SIGINT and SIGTERM, after the tasks saved their state.

    ``say`` hears what people should know of the dataset before it is used. ``only``: the task that is wanted, with what it
    needs, in place of all that lead to the report.
    """
    check_format(store)
    resolved, plan = plan_study(loaded, store)
    plan = mark_alike(plan, resolved)
    for note in resolved.notes if only is None else (*resolved.notes, *resolved.cautions):
        say(note)
    plan = plan if only is None else plan.leading_to(only)
    plan = with_limits(plan, loaded.study)
    execution = Execution(store, new_execution_id(loaded.study.name))
    execution.save_study(dump_yaml(loaded.document, variables=True))
    announce(execution)
    with stop_requests(quick=True) as stop:
        driver = Driver(plan, store, backend, execution, observer, stop)
        driver.finish = lambda: publish_report(execution, driver.works.values())
        state = driver.run()
    works = tuple(driver.works.values())
    if state != "succeeded":
        return Outcome(execution, state, works)
    return Outcome(execution, state, works, load_report(execution), report_place(execution))


def publish_report(execution: Execution, works: Iterable[TaskState]) -> None:
    """Copy the report's files to the execution. Nothing where only a part of the plan was asked for."""
    report = next((work for work in works if STEPS[work.node.step].page), None)
    if report is None or report.ref is None:
        return
    manifest = load_manifest(execution.store, report.ref.step, report.ref.key)
    if manifest is not None:
        publish(execution.store, manifest, execution.name("report/"))


def publish(store: Store, manifest: Manifest, prefix: str) -> None:
    """Copy an artifact's files to ``prefix``, for people and plain tools.

    Raises CorruptArtifactError, the manifest set aside, where one is not what was written: it is copied nowhere.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(COPIES_AT_ONCE) as pool:
        artifact = Artifact(store, manifest, Path(folder))
        paths = dict(zip(manifest.files, pool.map(artifact.path, manifest.files), strict=True))
        list(pool.map(lambda name: store.upload(paths[name], prefix + name), paths))
