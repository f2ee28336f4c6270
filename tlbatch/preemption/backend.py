"""A local backend whose tasks are interrupted on purpose, at random moments, as a cluster's preemption would."""

from __future__ import annotations

import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tlbatch.backends.local import LocalBackend
from tlbatch.backends.protocol import Ended
from tlbatch.planning import Node
from tlbatch.store import Store
from tlbatch.tasks import Task

SOONEST_S = 0.05
LATEST = 0.7  # of the time that a task took undisturbed: it may be faster the next time, and then nothing interrupts it


@dataclass
class PreemptingBackend:
    """Starts tasks as ``LocalBackend`` does and ends each of their first ``interruptions`` attempts by a signal.

    The first is SIGKILL (a node that is gone), later ones SIGTERM (a preemption with its grace). ``seconds``: key of a task
    to how long it took undisturbed; the moment is drawn from that, seeded. ``sent`` counts the signals by key.
    """

    store: Store
    interruptions: int = 2
    seconds: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    inner: LocalBackend = field(init=False)
    name: str = "local, interrupted"
    clock: Callable[[], float] = time.monotonic
    sent: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _due: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inner = LocalBackend(self.store)

    def has_room(self, node: Node) -> bool:
        return self.inner.has_room(node)

    def start(self, task: Task, node: Node) -> None:
        self.inner.start(task, node)
        count = len(self.sent[task.key])
        if count < self.interruptions:
            chance = random.Random(f"{self.seed}:{task.key}:{count}")
            latest = max(LATEST * self.seconds.get(task.key, 1.0), 2 * SOONEST_S)
            self._due[task.key] = self.clock() + chance.uniform(SOONEST_S, latest)

    def ended(self, timeout_s: float) -> list[Ended]:
        deadline = self.clock() + timeout_s
        while True:
            self._interrupt()
            over = self.inner.ended(min(SOONEST_S, max(0.0, deadline - self.clock())))
            for ended in over:
                self._due.pop(ended.key, None)
            if over or not self.inner.keys or self.clock() >= deadline:
                return over

    def stop(self, grace_s: float) -> list[Ended]:
        return self.inner.stop(grace_s)

    def close(self) -> None:
        self.inner.close()

    def _interrupt(self) -> None:
        for key in [key for key, due in self._due.items() if self.clock() >= due]:
            del self._due[key]
            number = signal.SIGTERM if self.sent[key] else signal.SIGKILL
            if self.inner.send_signal(key, number):
                self.sent[key].append(int(number))
