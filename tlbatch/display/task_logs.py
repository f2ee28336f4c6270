"""What a task prints: the pieces in the store, and until there is one what its pod says itself.

A pod that crashed before its log was kept, or whose image is still on its way, has left nothing in the store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tlbatch.cluster.client import PODS, Cluster, Document
from tlbatch.cluster.diagnosis import explain_pod
from tlbatch.cluster.errors import NotThereError
from tlbatch.errors import TlbatchError
from tlbatch.manifests.names import EXECUTION, KEY
from tlbatch.records.task_records import read_logs
from tlbatch.store import Store


@dataclass(frozen=True)
class PodWords:
    """The newest pod of a task: what it printed so far, and a sentence where it does not run or ended badly."""

    pod: str = ""
    text: str = ""
    sentence: str = ""


def pod_words(cluster: Cluster, execution: str, key: str) -> PodWords:
    """Of a task's newest pod; all empty where there is none. ``execution``: "" where the task is of none."""
    pods, _ = cluster.list(PODS, f"{EXECUTION}={execution},{KEY}={key}" if execution else f"{KEY}={key}")
    if not pods:
        return PodWords()
    pod = max(pods, key=lambda each: str(each["metadata"].get("creationTimestamp") or ""))
    name = str(pod["metadata"]["name"])
    try:
        text = cluster.logs(name) if _has_started(pod) else ""
    except NotThereError:  # gone between the two requests
        text = ""
    return PodWords(name, text, explain_pod(pod))


def _has_started(pod: Document) -> bool:
    states = [status.get("state", {}) for status in pod.get("status", {}).get("containerStatuses") or []]
    return any("running" in state or "terminated" in state for state in states)


@dataclass
class TaskLog:
    """A task's log as it grows. ``words`` asks its pod; None where the task runs in no cluster. ``warn`` hears sentences."""

    store: Store
    key: str
    words: Callable[[], PodWords] | None = None
    warn: Callable[[str], None] = lambda sentence: None
    _seen: set[str] = field(default_factory=set)
    _skip: int | None = None  #: characters of what is stored that were printed from the pod; None before anything is stored
    _said: PodWords = field(default_factory=PodWords)

    def news(self) -> str:
        """What came since last asked."""
        pieces = read_logs(self.store, self.key, self._seen)
        self._seen |= {piece.name for piece in pieces}
        text = "".join(piece.text for piece in pieces)
        if self._skip is None and not text:
            return self._of_pod()
        if self._skip is None:
            self._skip = overlap(self._said.text, text)
        new = text[self._skip :]
        self._skip = max(0, self._skip - len(text))
        return new

    def _of_pod(self) -> str:
        if self.words is None:
            return ""
        try:
            now = self.words()
        except TlbatchError as error:  # the store has the rest, soon
            self.warn(str(error))
            self.words = None
            return ""
        before, self._said = self._said, now
        if now.sentence and now.sentence != before.sentence:
            self.warn(f"{now.pod}: {now.sentence}")
        return now.text.removeprefix(before.text) if now.pod == before.pod else now.text


def overlap(printed: str, text: str) -> int:
    """How many characters at the end of ``printed`` are the start of ``text``, or of what will follow it."""
    for start in range(len(printed)):
        end = printed[start:]
        if text.startswith(end) or end.startswith(text):
            return len(end)
    return 0
