"""A prediction on this machine: one process, which computes with all cores or the GPU; it can be stopped and go on."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from tlbatch.backends.local import LocalBackend
from tlbatch.execution.alone import run_alone
from tlbatch.execution.task_state import TaskState
from tlbatch.interrupts import stop_requests
from tlbatch.planning import Node
from tlbatch.prediction.request import STEP
from tlbatch.store import Store
from tlbatch.store.documents import checked, read_disposable
from tlbatch.tasks import Task

COUNTED = ("images", "forward_passes")


def predict_here(store: Store, task: Task, cores: int | None, tick: Callable[[TaskState], None]) -> None:
    """Compute what is missing. Raises Stopped on SIGINT and SIGTERM, and what the step failed with, with its exit code."""
    backend = LocalBackend(store, cores or len(os.sched_getaffinity(0)), warm=False)
    with closing(backend), stop_requests(quick=True) as stop:
        run_alone(store, backend, Node(STEP, STEP, task.params), task, stop, tick)


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
