"""Tasks of no execution, computed on this machine: a prediction, a class that is added to a champion."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from tlbatch.backends import Backend, Ended
from tlbatch.errors import Stopped, TlbatchError, TransientError
from tlbatch.execution.driver import GRACE_S, Observer
from tlbatch.execution.retries import judge
from tlbatch.execution.task_state import TaskState
from tlbatch.interrupts import stop_requests
from tlbatch.planning import Node
from tlbatch.records.states import CACHED, DONE, RUNNING
from tlbatch.records.task_records import read_exit
from tlbatch.store import Store
from tlbatch.store.artifacts import load_manifest
from tlbatch.store.pieces import put_pieces
from tlbatch.tasks import InputRef, Task, task_name

POLL_S = 0.2


def run_alone(
    store: Store, backend: Backend, node: Node, task: Task, stop: Callable[[], bool], tick: Callable[[TaskState], None]
) -> None:
    """One task to its end. Raises Stopped once ``stop`` says so, and what the step failed with, with its exit code."""
    work = TaskState(node, task=task, state=RUNNING, started=time.time())
    backend.start(task, node)
    ended: list[Ended] = []
    stopped = False
    while not ended:
        ended = backend.stop(GRACE_S) if (stopped := stop()) else backend.ended(POLL_S)
        tick(work)
    _check(store, ended[0], work, stopped)


def walk_here(store: Store, nodes: Iterable[Node], backend: Backend, observer: Observer) -> dict[str, InputRef]:
    """Compute what the store does not have of ``nodes``, each after what it needs; their artifacts by name.

    Raises as ``run_alone`` does; what is done by then is kept.
    """
    done: dict[str, InputRef] = {}
    with stop_requests(quick=True) as stop:
        for node in nodes:
            task = node.task(done)
            assert task is not None, f"{node.name} comes before what it needs"
            found = _artifact(store, task)
            observer.changed(TaskState(node, task=task, state=CACHED if found else RUNNING))
            if found is None:
                for name, content in node.files.items():
                    put_pieces(store, name, content)
                store.put(task_name(task.key), task.to_json())
                started = time.monotonic()
                run_alone(store, backend, node, task, stop, lambda work: observer.tick([work]))
                observer.changed(TaskState(node, task=task, state=DONE, seconds=time.monotonic() - started))
                found = _artifact(store, task)
            if found is None:
                raise TransientError(f"{node.name} left nothing in {store.url}; the same command tries again")
            done[node.name] = found
    return done


def _artifact(store: Store, task: Task) -> InputRef | None:
    manifest = load_manifest(store, task.step, task.key)
    return None if manifest is None else InputRef(manifest.step, manifest.key, manifest.digest)


def _check(store: Store, ended: Ended, work: TaskState, stopped: bool) -> None:
    if ended.code == 0:
        return
    if stopped or ended.code == Stopped.exit_code:
        raise Stopped("asked to stop: what is done is kept, the same command goes on from there")
    error = TlbatchError(judge(ended, read_exit(store, ended.key), work.node.step, work.started, [ended.code]).sentence)
    error.exit_code = ended.code
    raise error
