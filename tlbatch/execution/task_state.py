"""Where each task of a plan stands while a driver walks it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tlbatch.planning import Node
from tlbatch.records.states import PENDING, WAITING
from tlbatch.store.lease import Lease
from tlbatch.tasks import InputRef, Task


@dataclass
class TaskState:
    """One node on its way. ``ref`` names the artifact once it is complete; ``tries`` counts attempts that count.

    ``place``: where it runs, as the backend tells it. ``computed``: rows that it computed of those that it left, where earlier
    tasks may have had some.
    """

    node: Node
    state: str = PENDING
    task: Task | None = None
    ref: InputRef | None = None
    lease: Lease | None = None
    holder: str = ""
    tries: int = 0
    not_before: float = 0.0
    started: float = 0.0
    seconds: float = 0.0
    computed: int | None = None
    codes: list[int] = field(default_factory=list)
    sentence: str = ""
    place: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.node.name

    def to_json(self) -> dict[str, Any]:
        """What status.json and plan.json say of it."""
        return {
            "step": self.node.step,
            "state": self.state,
            "key": self.task.key if self.task else None,
            "digest": self.ref.digest if self.ref else None,
            "runs": list(self.node.runs),
            "needs": sorted(set(self.node.needs.values())),
            "seconds": round(self.seconds, 1),
            "started": self.started or None,
            "tries": self.tries,
            "codes": self.codes,
            "waiting_for": self.holder if self.state == WAITING else None,
            "sentence": self.sentence,
            **({"place": self.place} if self.place else {}),
        }
