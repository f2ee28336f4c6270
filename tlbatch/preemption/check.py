"""A study run twice, once undisturbed and once with its tasks interrupted, and whether both left the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlbatch.backends.local import LocalBackend
from tlbatch.errors import TlbatchError, error_of
from tlbatch.execution.driver import Observer
from tlbatch.execution.launch import Outcome, run_study
from tlbatch.execution.task_state import TaskState
from tlbatch.preemption.backend import PreemptingBackend
from tlbatch.spec import LoadedStudy
from tlbatch.store import open_store

EQUAL, DIFFERS, NOT_COMPARED = "equal", "differs", "not compared"
TIMED_STEPS = frozenset({"report"})  # a report says how long its tasks took, so it is another one


@dataclass(frozen=True)
class Survivor:
    """A task after both runs. ``signals``: those it was interrupted by, in order; ``digests``: undisturbed, interrupted."""

    name: str
    step: str
    signals: tuple[int, ...]
    digests: tuple[str, str]
    seconds: tuple[float, float]

    @property
    def verdict(self) -> str:
        if self.step in TIMED_STEPS:
            return NOT_COMPARED
        return EQUAL if self.digests[0] == self.digests[1] else DIFFERS


def check_preemption(
    loaded: LoadedStudy, folder: Path, interruptions: int, seed: int, observer: Observer
) -> tuple[Survivor, ...]:
    """Both runs in stores of their own under ``folder``. Raises the error of a task that failed."""
    undisturbed = _run(loaded, folder / "undisturbed", None, observer)
    seconds = {work.task.key: work.seconds for work in undisturbed.works if work.task}
    store = open_store(str(folder / "interrupted"))
    backend = PreemptingBackend(store, interruptions, seconds, seed)
    interrupted = _run(loaded, folder / "interrupted", backend, observer)
    others = {work.name: work for work in interrupted.works}
    return tuple(_survivor(work, others[work.name], backend.sent) for work in undisturbed.works)


def _run(loaded: LoadedStudy, folder: Path, backend: PreemptingBackend | None, observer: Observer) -> Outcome:
    store = open_store(str(folder))
    outcome = run_study(loaded, store, backend or LocalBackend(store), observer, lambda execution: None)
    failed = next((work for work in outcome.works if work.state == "failed"), None)
    if failed is not None:
        raise _error(failed, "undisturbed" if backend is None else "interrupted")
    return outcome


def _error(work: TaskState, which: str) -> TlbatchError:
    return error_of(work.codes[-1] if work.codes else 1, f"{work.name} failed in the {which} run: {work.sentence}")


def _survivor(one: TaskState, other: TaskState, sent: Mapping[str, list[int]]) -> Survivor:
    digests = (one.ref.digest if one.ref else "", other.ref.digest if other.ref else "")
    signals = tuple(sent.get(other.task.key, ())) if other.task else ()
    return Survivor(one.name, one.node.step, signals, digests, (one.seconds, other.seconds))


def as_json(survivors: tuple[Survivor, ...]) -> dict[str, Any]:
    """What ``-o json`` prints."""
    tasks = {
        s.name: {"verdict": s.verdict, "signals": list(s.signals), "digests": list(s.digests), "seconds": list(s.seconds)}
        for s in survivors
    }
    return {"equal": all(s.verdict != DIFFERS for s in survivors), "tasks": tasks}
