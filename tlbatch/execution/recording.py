"""What a driver tells of its walk: events, the plan and the status of its execution, for people and for the next driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tlbatch.execution.task_state import TaskState
from tlbatch.records.eventlog import EventLog
from tlbatch.records.executions import Execution

STATUS_EVERY_S = 2.0


class Recording:
    """Of one driver. ``before`` is the status that an earlier driver of the same execution left; times in s."""

    def __init__(
        self, execution: Execution, study: str, backend: str, before: Mapping[str, Any], clock: Callable[[], float]
    ) -> None:
        self._execution, self._study, self._backend, self._clock = execution, study, backend, clock
        self._events = EventLog(execution, "driver", clock)
        self._started = float(before.get("started") or clock())
        self._status_at = 0.0

    def event(self, kind: str, **fields: Any) -> None:
        """Noted; stored with the next status."""
        self._events.add(kind, **fields)

    def moved(self, work: TaskState) -> None:
        """A task changed: the status comes sooner."""
        key = work.task.key if work.task else None
        self.event("task", task=work.name, key=key, state=work.state, sentence=work.sentence)
        self._status_at = min(self._status_at, self._clock() - STATUS_EVERY_S / 2)

    @property
    def due(self) -> bool:
        """Whether the status is to be saved: every STATUS_EVERY_S, sooner after a change."""
        return self._clock() - self._status_at >= STATUS_EVERY_S

    def save(self, state: str, works: Mapping[str, TaskState]) -> None:
        """Events, plan and status, in this order. Raises TransientError where the store is away."""
        self._status_at = self._clock()
        tasks = {work.name: work.to_json() for work in works.values()}
        self._events.flush()
        self._execution.save_plan({"study": self._study, "tasks": tasks})
        self._execution.save_status(self._status(state, tasks), self._clock)

    def _status(self, state: str, tasks: dict[str, Any]) -> dict[str, Any]:
        return {
            "study": self._study,
            "state": state,
            "backend": self._backend,
            "started": self._started,
            "tasks": {name: {k: v for k, v in task.items() if k not in ("needs", "digest")} for name, task in tasks.items()},
        }
