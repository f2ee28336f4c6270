"""What happened in an execution, in the order in which drivers noted it: ``executions/<id>/events/``."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tlbatch.records.executions import Execution
from tlbatch.store.protocol import ConflictError


class EventLog:
    """Appends events of one driver as new objects ``events/<seq>-<driver>.jsonl``: S3 cannot append.

    ``seq`` goes on after the highest there is, so a restarted driver's events sort after those of the one before.
    """

    def __init__(self, execution: Execution, driver: str, clock: Callable[[], float] = time.time) -> None:
        self._execution, self._driver, self._clock = execution, driver, clock
        self._pending: list[str] = []
        self._next: int | None = None
        self._noting, self._flushing = threading.Lock(), threading.Lock()  # noting never waits for the store

    def add(self, kind: str, **fields: Any) -> None:
        """Note an event; it is stored with the next ``flush``."""
        line = json.dumps({"time": self._clock(), "kind": kind, **fields}, sort_keys=True)
        with self._noting:
            self._pending.append(line)

    def flush(self) -> None:
        """Store the events noted since the last flush, as one object. On an error they stay for the next one."""
        with self._flushing:
            with self._noting:
                lines = list(self._pending)
            if lines:
                self._append("".join(f"{line}\n" for line in lines).encode())
                with self._noting:
                    del self._pending[: len(lines)]

    def _append(self, data: bytes) -> None:
        if self._next is None:
            self._next = self._highest() + 1
        while True:
            name = self._execution.name(f"events/{self._next:06d}-{self._driver}.jsonl")
            self._next += 1
            with suppress(ConflictError):
                self._execution.store.put(name, data, if_absent=True)
                return

    def _highest(self) -> int:
        prefix = self._execution.name("events/")
        names = [stat.name.removeprefix(prefix) for stat in self._execution.store.list(prefix)]
        return max((int(number) for name in names if (number := name.partition("-")[0]).isdigit()), default=0)
