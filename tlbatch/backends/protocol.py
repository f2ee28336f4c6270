"""What the driver asks of the place where tasks run. It starts and ends tasks; what they did is told by the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tlbatch.planning import Node
from tlbatch.tasks import Task


@dataclass(frozen=True)
class Ended:
    """A task's attempt that is over. ``code`` is its exit code; a signal s counts as 128 + s. ``output``: its last words.

    ``final``: the backend has tried again itself as often as it makes sense. ``sentence``: what the backend knows better
    than anyone, the task itself included.
    """

    key: str
    code: int
    output: str = ""
    final: bool = False
    sentence: str = ""


class Backend(Protocol):
    """Runs tasks whose documents are in the store. Not thread-safe: one driver, one thread."""

    name: str

    def has_room(self, node: Node) -> bool:
        """Whether a task of this node could start now."""

    def start(self, task: Task, node: Node) -> None:
        """Start a task. Starting one that runs already changes nothing."""

    def ended(self, timeout_s: float) -> list[Ended]:
        """Attempts that ended since last asked; waits for one up to ``timeout_s``."""

    def stop(self, grace_s: float) -> list[Ended]:
        """Ask all tasks to save their state and end; after ``grace_s`` they are killed. Returns what ended."""

    def close(self) -> None:
        """Give up what the backend holds; no task runs any more."""
