"""A prediction on this machine: one process, which computes with all cores or the GPU; it can be stopped and go on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from tlbatch.backends import Ended
from tlbatch.backends.local import LocalBackend
from tlbatch.errors import Stopped, TlbatchError
from tlbatch.execution.driver import GRACE_S
from tlbatch.execution.retries import judge
from tlbatch.execution.task_state import TaskState
from tlbatch.interrupts import stop_requests
from tlbatch.planning import Node
from tlbatch.prediction.request import STEP
from tlbatch.records.states import RUNNING
from tlbatch.records.task_records import read_exit
from tlbatch.store import Store
from tlbatch.store.documents import checked, read_disposable
from tlbatch.tasks import Task

POLL_S = 0.2
COUNTED = ("images", "forward_passes")


def predict_here(store: Store, task: Task, cores: int | None, tick: Callable[[TaskState], None]) -> None:
    """Compute what is missing. Raises Stopped on SIGINT and SIGTERM, and what the step failed with, with its exit code."""
    backend = LocalBackend(store, cores or len(os.sched_getaffinity(0)), warm=False)
    node = Node(STEP, STEP, task.params)
    work = TaskState(node, task=task, state=RUNNING, started=time.time())
    with stop_requests(quick=True) as stop:
        backend.start(task, node)
        try:
            ended: list[Ended] = []
            while not ended:
                ended = backend.stop(GRACE_S) if (stopped := stop()) else backend.ended(POLL_S)
                tick(work)
        finally:
            backend.close()
    _check(store, ended[0], work, stopped)


def _check(store: Store, ended: Ended, work: TaskState, stopped: bool) -> None:
    if ended.code == 0:
        return
    if stopped or ended.code == Stopped.exit_code:
        raise Stopped("asked to stop: the parts that are done are kept, the same command goes on from there")
    error = TlbatchError(judge(ended, read_exit(store, ended.key), work.started, [ended.code]).sentence)
    error.exit_code = ended.code
    raise error


def computed_before(store: Store, task: Task) -> set[str]:
    """Names of what attempts at this task have told so far; for ``computed_since``."""
    return {stat.name for stat in store.list(_prefix(task))}


def computed_since(store: Store, task: Task, before: set[str]) -> dict[str, int]:
    """Images looked at and forward passes made by the attempts that told since."""
    names = [stat.name for stat in store.list(_prefix(task)) if stat.name not in before]
    told = [each for name in names if (each := read_disposable(store, name, checked(Computed))) is not None]
    return {name: sum(int(each.get(name, 0)) for each in told) for name in COUNTED}


@dataclass
class Computed:
    """What an attempt tells of itself."""

    images: int = 0
    forward_passes: int = 0


def _prefix(task: Task) -> str:
    return f"work/{task.key}/computed/"
